import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ListingError, readListedInstruments, rereadInstruments } from '../btcturk/listed-instruments.js';
import { createPublicFeed, type PublicFeedEffect } from '../btcturk/public-feed.js';
import {
  createRecordingWriter,
  type RecordingSummary,
  RecordingWriterError,
} from '../btcturk/recording-writer.js';
import { createRestClient, type HttpExchange, type RestClient } from '../btcturk/rest-client.js';
import type { Instrument } from '../domain/instrument.js';
import { eventIds } from '../domain/step.js';
import { monoMs, now } from '../runtime/clock.js';
import { loadSettings, renderProblem } from '../runtime/config.js';
import { TICK_MS } from '../runtime/limits.js';
import type { Settings } from '../runtime/settings.js';
import { countOption, joinedSymbol, noPositionals, textOption } from './books.js';
import { CliRefused } from './refused.js';
import type { Verb, VerbIo } from './verb.js';

const MIB = 1024 * 1024;

/** `btcbot record`: the public market, frame by frame, as it arrives. */
export const verb: Verb = {
  name: 'record',
  usage:
    'record [--symbols BTCTRY,ETHTRY] [--out DIRECTORY] [--seconds N] [--rotate-mib 256] [--rotate-minutes 60] [--poll-seconds 60] [--config FILE] [--json]',
  about: `Records the venue's public feed: every frame of the order book, full book, ticker and trade channels of the
symbols, and REST replies (instruments, server time, order books), with their times of arrival.

It needs no key and sends no order. The recording is a directory of compressed parts and a manifest with the venue's
exchangeinfo; each part can be played by itself (btcbot replay, or PAPER_RECORDING). It runs until stopped (Ctrl-C) or
for --seconds. The address comes from BTCTURK_BASE_URL and BTCTURK_WS_URL.
JSON: { directory, parts: [{ file, firstAtMs, lastAtMs, lines, frames, bytes, complete }], frames, replies, lost }.`,
  options: {
    symbols: { type: 'string' },
    out: { type: 'string' },
    seconds: { type: 'string' },
    'rotate-mib': { type: 'string' },
    'rotate-minutes': { type: 'string' },
    'poll-seconds': { type: 'string' },
  },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const settings = settingsFrom(values, io);
    const symbols = symbolsFrom(textOption(values, 'symbols')) ?? settings.symbols;
    const seconds = countOption(values, 'seconds');
    const replies: HttpExchange[] = [];
    let keep = (exchange: HttpExchange): void => {
      replies.push(exchange);
    };
    const client = createRestClient({
      endpoints: settings.endpoints,
      credentials: null,
      onExchange: exchange => keep(exchange),
    });
    try {
      const instruments = await readListedInstruments(client, symbols, monoMs);
      const startedAtMs = now().wallMs;
      const writer = await createRecordingWriter({
        directory: textOption(values, 'out') ?? join('recordings', stampOf(startedAtMs)),
        symbols,
        source: { baseUrl: settings.endpoints.baseUrl, wsUrl: settings.endpoints.wsUrl },
        exchangeInfo: exchangeInfoIn(replies),
        partBytesMax: (countOption(values, 'rotate-mib') ?? 256) * MIB,
        partMsMax: (countOption(values, 'rotate-minutes') ?? 60) * 60_000,
        startedAtMs,
      });
      for (const reply of replies) writer.reply(reply);
      keep = writer.reply;
      const pollMs = (countOption(values, 'poll-seconds') ?? 60) * 1_000;
      const problem = await follow({ settings, instruments, client, writer, pollMs, seconds, io });
      const summary = await writer.close(now().wallMs);
      io.out(values.json === true ? `${JSON.stringify(summary)}\n` : summaryText(summary));
      if (problem !== null) io.err(`btcbot record: the recording ended early: ${problem}\n`);
      return problem === null && summary.lost === 0 ? 0 : 1;
    } catch (error) {
      if (error instanceof ListingError || error instanceof RecordingWriterError)
        throw new CliRefused(error.message);
      throw error;
    } finally {
      await client.close();
    }
  },
};

interface Following {
  readonly settings: Settings;
  readonly instruments: readonly Instrument[];
  readonly client: RestClient;
  readonly writer: Awaited<ReturnType<typeof createRecordingWriter>>;
  readonly pollMs: number;
  readonly seconds: number | undefined;
  readonly io: VerbIo;
}

/** Records until stopped. @returns why it ended early, or null. */
const follow = async (following: Following): Promise<string | null> => {
  const { settings, instruments, client, writer, io } = following;
  const feed = createPublicFeed({
    wsUrl: settings.endpoints.wsUrl,
    now,
    config: {
      instruments,
      maxAgeMs: settings.maxMarketDataAgeMs,
      idleReconnectMs: settings.wsIdleReconnectMs,
      seed: randomInt(2 ** 32),
      forgottenAttempts: 0,
      ids: eventIds('market-data', 1),
    },
    perform: effect => {
      if (effect.type === 'read-instruments')
        void rereadInstruments(
          client,
          instruments.map(({ symbol }) => symbol),
        ).then(feed.instrumentsRead);
      else say(io, effect);
    },
    onText: text => writer.frame(text, now().wallMs),
    onSocket: (event, detail) => writer.socket(event, detail, now().wallMs),
  });
  const poll = async (): Promise<void> => {
    await client.read({ type: 'server-time' });
    for (const { symbol } of instruments) await client.read({ type: 'order-book', symbol, depth: 100 });
  };
  const beganMonoMs = monoMs();
  const { pollMs, seconds } = following;
  let polledMonoMs = beganMonoMs;
  let ticks: NodeJS.Timeout | undefined;
  const stopped = new Promise<null>(resolve => {
    if (io.signal.aborted) resolve(null);
    io.signal.addEventListener('abort', () => resolve(null), { once: true });
    // By the clock, not by timers of that length: beyond 24.8 days a timer of Node fires at once.
    ticks = setInterval(() => {
      feed.tick();
      const nowMonoMs = monoMs();
      if (seconds !== undefined && nowMonoMs - beganMonoMs >= seconds * 1_000) resolve(null);
      if (nowMonoMs - polledMonoMs < pollMs) return;
      polledMonoMs = nowMonoMs;
      void poll();
    }, TICK_MS);
  });
  feed.tick();
  void poll();
  const problem = await Promise.race([stopped, writer.failed]);
  clearInterval(ticks);
  feed.close();
  return problem?.message ?? null;
};

/** Lines for the person who watches. */
const say = (io: VerbIo, effect: PublicFeedEffect): void => {
  if (effect.type === 'log') io.err(`${effect.level} ${effect.event} ${JSON.stringify(effect.fields)}\n`);
};

const settingsFrom = (values: Readonly<Record<string, unknown>>, io: VerbIo): Settings => {
  const loaded = loadSettings({
    env: io.env,
    configFile: textOption(values, 'config'),
    cwd: process.cwd(),
    readFile: path => readFileSync(path, 'utf8'),
    nowMs: now().wallMs,
  });
  if (loaded.ok) return loaded.settings;
  throw new CliRefused(`the configuration is refused\n${loaded.problems.map(renderProblem).join('\n')}`);
};

const symbolsFrom = (given: string | undefined): readonly string[] | undefined => {
  if (given === undefined) return undefined;
  const symbols = given
    .split(',')
    .map(joinedSymbol)
    .filter(symbol => symbol !== '');
  if (symbols.length === 0) throw new CliRefused('--symbols names none: BTCTRY,ETHTRY');
  return [...new Set(symbols)];
};

/** `2026-09-23T03-20-00Z`, for a directory's name. */
const stampOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replaceAll(':', '-')}Z`;

/** The body of the reply from which the instruments were read: known to be JSON. */
const exchangeInfoIn = (replies: readonly HttpExchange[]): string => {
  const reply = replies.at(-1)?.reply;
  return reply?.type === 'response' ? reply.body : 'null';
};

const summaryText = (summary: RecordingSummary): string =>
  [
    `recorded ${summary.frames} frames and ${summary.replies} replies in ${summary.parts.length} parts: ${summary.directory}`,
    ...(summary.lost > 0 ? [`the disk was too slow: ${summary.lost} frames are lost, and marked`] : []),
    '',
  ].join('\n');
