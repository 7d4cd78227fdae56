import { RecordingError, readRecording } from '../exchange/recording.js';
import { type RunningExchange, startExchange } from '../exchange/server.js';
import { ExchangeError } from '../exchange/setup.js';
import { textOption } from './books.js';
import { CliRefused } from './refused.js';
import type { Verb, VerbIo } from './verb.js';

/** `btcbot replay`: a recording as a market, for the bot or any other client. */
export const verb: Verb = {
  name: 'replay',
  usage: 'replay RECORDING [--check] [--port 8080] [--speed 1|20|max] [--at-once] [--seed N] [--json]',
  about: `Serves a recording through the local exchange on loopback: its books and trades at its own pace or a multiple
of it, with a paper account to trade against it. RECORDING is a directory of btcbot record, one of its parts, or a file
of {"at", "frame"} lines, plain or gzip.

It begins when a client follows a recorded book (and has logged in, or ten seconds have passed), or at once with
--at-once, and ends with the recording. Damage is told by its position; what comes before it is played.
--check only reads: what the recording holds, and where it is damaged. Exit code 1 when it is, or was cut short.
JSON: { baseUrl, graphUrl, wsUrl, apiKey, apiSecret }, then { finished }; with --check { symbols: { <symbol>: { books,
differences, trades } }, firstAtMs, lastAtMs, gaps: [], damage }.`,
  options: {
    check: { type: 'boolean' },
    port: { type: 'string' },
    speed: { type: 'string' },
    'at-once': { type: 'boolean' },
    seed: { type: 'string' },
  },
  async run({ values, positionals }, io) {
    const [path, ...more] = positionals;
    if (path === undefined || more.length > 0)
      throw new CliRefused(`one recording is needed\nusage: btcbot ${verb.usage}`);
    try {
      return values.check === true
        ? await check(path, values.json === true, io)
        : await serve(path, values, io);
    } catch (error) {
      if (error instanceof RecordingError || error instanceof ExchangeError)
        throw new CliRefused(error.message);
      throw error;
    }
  },
};

const serve = async (
  path: string,
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
): Promise<number> => {
  let damaged = false;
  // Looked at first: whoever reads the announcement may stop it at once.
  const { signal } = io;
  const exchange = await startExchange({
    market: { type: 'recording', path, speed: speedFrom(textOption(values, 'speed') ?? '1') },
    symbols: [],
    port: wholeFrom(values, 'port', 8_080, 65_535),
    seed: wholeFrom(values, 'seed', 1, 2 ** 31 - 1),
    playAtOnce: values['at-once'] === true,
    log: (level, event, fields) => {
      damaged ||= event === 'recording-damage';
      io.err(`${level} ${event} ${JSON.stringify(fields)}\n`);
    },
  });
  try {
    announce(exchange, values.json === true, io);
    const finished = await Promise.race([exchange.finished, stopped(signal)]);
    if (finished !== null)
      io.out(values.json === true ? `${JSON.stringify({ finished })}\n` : `${finished}\n`);
    return damaged ? 1 : 0;
  } finally {
    await exchange.close();
  }
};

const announce = ({ url, wsUrl, apiKey, apiSecret }: RunningExchange, asJson: boolean, io: VerbIo): void =>
  io.out(
    asJson
      ? `${JSON.stringify({ baseUrl: url, graphUrl: url, wsUrl, apiKey, apiSecret })}\n`
      : `The recording is ready.\n  REST       ${url}\n  WebSocket  ${wsUrl}/\n  key        ${apiKey}\n  secret     ${apiSecret}\n`,
  );

const stopped = (signal: AbortSignal): Promise<null> =>
  new Promise(resolve => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener('abort', () => resolve(null), { once: true });
  });

interface Counts {
  books: number;
  differences: number;
  trades: number;
}

/** Reads a recording to its end and says what is in it. */
const check = async (path: string, asJson: boolean, io: VerbIo): Promise<number> => {
  const symbols: Record<string, Counts> = {};
  const gaps: string[] = [];
  let damage: string | null = null;
  let firstAtMs: number | null = null;
  let lastAtMs: number | null = null;
  for await (const item of readRecording(path)) {
    if (item.type === 'gap') gaps.push(`line ${item.line}: ${item.reason}`);
    else if (item.type === 'damage') damage = `line ${item.line}: ${item.reason}`;
    else {
      const { activity, symbol, atMs } = item.entry;
      symbols[symbol] ??= { books: 0, differences: 0, trades: 0 };
      const counts = symbols[symbol];
      if (activity.type === 'trade') counts.trades += 1;
      else if (activity.type === 'book' && activity.whole) counts.books += 1;
      else counts.differences += 1;
      firstAtMs ??= atMs;
      lastAtMs = atMs;
    }
  }
  if (asJson) io.out(`${JSON.stringify({ symbols, firstAtMs, lastAtMs, gaps, damage })}\n`);
  else {
    for (const [symbol, { books, differences, trades }] of Object.entries(symbols))
      io.out(`${symbol}: ${books} whole books, ${differences} differences, ${trades} trades\n`);
    if (firstAtMs !== null && lastAtMs !== null)
      io.out(
        `from ${new Date(firstAtMs).toISOString()}, ${((lastAtMs - firstAtMs) / 60_000).toFixed(1)} minutes\n`,
      );
    for (const gap of gaps) io.out(`gap at ${gap}\n`);
    io.out(damage === null ? 'whole\n' : `damaged at ${damage}\n`);
  }
  return damage === null ? 0 : 1;
};

const speedFrom = (given: string): number => {
  if (given === 'max') return Number.POSITIVE_INFINITY;
  const speed = Number(given);
  if (speed > 0 && Number.isFinite(speed)) return speed;
  throw new CliRefused(`--speed ${given}: a number above 0, or max, is needed`);
};

const wholeFrom = (
  values: Readonly<Record<string, unknown>>,
  name: string,
  fallback: number,
  most: number,
): number => {
  const given = textOption(values, name);
  if (given === undefined) return fallback;
  if (/^\d{1,10}$/.test(given) && Number(given) <= most) return Number(given);
  throw new CliRefused(`--${name} ${given}: a whole number from 0 to ${most} is needed`);
};
