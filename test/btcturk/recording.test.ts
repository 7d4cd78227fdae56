/** From the wire to files and back: record, check, replay. */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import { createBookTexts } from '#src/btcturk/book-texts.js';
import { openPrivateFeed } from '#src/btcturk/private-feed.js';
import { createPublicFeed } from '#src/btcturk/public-feed.js';
import {
  createRecordingWriter,
  type RecordingOptions,
  type RecordingSummary,
  RecordingWriterError,
} from '#src/btcturk/recording-writer.js';
import { createRestClient } from '#src/btcturk/rest-client.js';
import { runCli } from '#src/cli/main.js';
import { eventIds } from '#src/domain/step.js';
import { readRecording } from '#src/exchange/recording.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { now } from '#src/runtime/clock.js';
import {
  applyMove,
  differenceFrame,
  fullFrame,
  initialSides,
  layout,
  tradeFrame,
  type Window,
  windowOf,
} from '../domain/venue-feed.js';
import { eventsOf } from './collected.js';

const SYMBOL = 'BTCUSDT';
const EXCHANGE_INFO = JSON.stringify({
  data: {
    symbols: [
      {
        id: 19,
        name: SYMBOL,
        numerator: 'BTC',
        denominator: 'USDT',
        numeratorScale: 4,
        denominatorScale: 2,
        hasFraction: true,
        filters: [{ minPrice: '0.01', maxPrice: '1000000', tickSize: '0.01', minExchangeValue: '9.91' }],
        orderMethods: ['LIMIT', 'MARKET'],
        order: 7,
      },
    ],
  },
});

const inDirectory = async (work: (directory: string) => Promise<void>): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), 'btcbot-recording-'));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
};
const optionsFor = (directory: string, overrides: Partial<RecordingOptions> = {}): RecordingOptions => ({
  directory,
  symbols: [SYMBOL],
  source: { baseUrl: 'http://127.0.0.1:1', wsUrl: 'ws://127.0.0.1:1' },
  exchangeInfo: EXCHANGE_INFO,
  partBytesMax: 4_000,
  partMsMax: 3_600_000,
  startedAtMs: 1_000,
  ...overrides,
});

/** Records a generated market in several parts. @returns the last window, and how many differences it took */
const recordMarket = async (
  directory: string,
): Promise<{ readonly summary: RecordingSummary; readonly last: Window; readonly differences: number }> => {
  const writer = await createRecordingWriter(optionsFor(directory));
  const sides = initialSides();
  let window = windowOf(sides, 100);
  let atMs = 1_000;
  writer.frame(fullFrame(SYMBOL, 500, window), atMs);
  const differences = 60;
  for (let index = 1; index <= differences; index++) {
    applyMove(sides, { side: index % 2 === 0 ? 'bids' : 'asks', ticks: 9_990 + (index % 20), lots: index });
    const next = windowOf(sides, 100);
    atMs += 7;
    writer.frame(differenceFrame(SYMBOL, 500 + index, window, next), atMs);
    if (index % 10 === 0) writer.frame(tradeFrame(SYMBOL, `t${index}`, '100.00'), atMs);
    window = next;
  }
  return { summary: await writer.close(atMs), last: window, differences };
};
const linesOf = (path: string): readonly Record<string, unknown>[] =>
  gunzipSync(readFileSync(path))
    .toString('utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>);
const itemsOf = async (path: string) => {
  const items = [];
  for await (const item of readRecording(path)) items.push(item);
  return items;
};

describe('recording', () => {
  it('writes parts that each begin with the whole book and can be read alone or together', async () => {
    await inDirectory(async directory => {
      const { summary, differences } = await recordMarket(directory);
      expect(summary.parts.length).to.be.greaterThan(3);
      expect(summary.frames).to.equal(1 + differences + 6);
      const together = await itemsOf(directory);
      expect(together.filter(({ type }) => type !== 'entry')).to.deep.equal([]);
      const count = together.filter(
        item => item.type === 'entry' && item.entry.activity.type === 'book' && !item.entry.activity.whole,
      );
      expect(count).to.have.length(differences);
      for (const { file } of summary.parts) {
        const [first, ...rest] = await itemsOf(join(directory, file));
        expect(
          first?.type === 'entry' && first.entry.activity.type === 'book' && first.entry.activity.whole,
        ).to.equal(true);
        expect(rest.every(({ type }) => type === 'entry')).to.equal(true);
      }
    });
  });

  it('tells the parts, their times and their frames in its manifest, beside the venue’s exchangeinfo', async () => {
    await inDirectory(async directory => {
      const { summary } = await recordMarket(directory);
      const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
      expect(manifest).to.deep.include({
        format: 'btcbot-recording',
        version: 1,
        symbols: [SYMBOL],
        startedAtMs: 1_000,
      });
      expect(manifest.endedAtMs).to.be.greaterThan(1_000);
      expect(manifest.parts).to.deep.equal(summary.parts);
      expect(manifest.exchangeinfo).to.deep.equal(JSON.parse(EXCHANGE_INFO));
      expect(readdirSync(directory)).to.have.length(summary.parts.length + 1);
      const frames = summary.parts.reduce((sum, part) => sum + part.frames, 0);
      expect(frames).to.equal(summary.frames);
    });
  });

  it('keeps the venue’s text, replies and the socket’s fate', async () => {
    await inDirectory(async directory => {
      const writer = await createRecordingWriter(optionsFor(directory, { partBytesMax: 1_000_000 }));
      const odd = '[402, {"B":"77255.000","I":12345678901234567890}]';
      writer.socket('opened', '', 1_001);
      writer.frame(odd, 1_002);
      writer.frame('not a frame', 1_003);
      writer.frame('[1,\n2]', 1_004);
      writer.reply({
        request: { method: 'GET', host: 'api', path: '/api/v2/server/time', body: null, signed: false },
        reply: { type: 'response', status: 200, headers: {}, body: '{"serverTime":1}' },
        received: { monoMs: 1, wallMs: 1_005 },
      });
      const { parts } = await writer.close(1_006);
      const path = join(directory, parts[0]?.file ?? '');
      expect(gunzipSync(readFileSync(path)).toString('utf8').split('\n')[1]).to.equal(
        `{"at":1002,"frame":${odd}}`,
      );
      expect(linesOf(path).slice(2)).to.deep.equal([
        { at: 1_003, text: 'not a frame' },
        { at: 1_004, frame: [1, 2] },
        {
          at: 1_005,
          reply: { method: 'GET', path: '/api/v2/server/time', status: 200, body: '{"serverTime":1}' },
        },
      ]);
    });
  });

  it('begins no part with a book it has lost track of', () => {
    const books = createBookTexts();
    const window = windowOf(initialSides(), 5);
    books.note(JSON.parse(fullFrame(SYMBOL, 10, window)));
    expect(books.frames()).to.have.length(1);
    books.note(JSON.parse(differenceFrame(SYMBOL, 12, window, window)));
    expect(books.frames()).to.deep.equal([]);
  });

  it('begins a part with the newest book also where the venue’s 32-bit count has started again', () => {
    const books = createBookTexts();
    const [before, after] = [windowOf(initialSides(), 5), windowOf(initialSides(), 4)];
    books.note(JSON.parse(fullFrame(SYMBOL, 2_147_483_647, before)));
    books.note(JSON.parse(differenceFrame(SYMBOL, -2_147_483_648, before, after)));
    expect(books.frames()).to.have.length(1);
    expect(books.frames()[0]).to.contain('"CS":-2147483648');
  });

  it('does not write into a recording', async () => {
    await inDirectory(async directory => {
      await recordMarket(directory);
      try {
        await createRecordingWriter(optionsFor(directory));
        expect.fail('it was opened');
      } catch (error) {
        expect(error).to.be.instanceOf(RecordingWriterError);
      }
    });
  });

  it('says when the disk refuses', async () => {
    await inDirectory(async directory => {
      const writer = await createRecordingWriter(optionsFor(directory, { partBytesMax: 10 }));
      writeFileSync(join(directory, 'part-00002.jsonl.gz'), 'in the way');
      writer.frame('[1,{}]', 1_001);
      writer.frame('[1,{}]', 1_002);
      expect((await writer.failed).message).to.match(/EEXIST/);
      await writer.close(1_003);
    });
  });
});

/** Runs a verb; `stop` ends it. */
/** What has a verb ask this exchange. */
const envOf = ({ url, wsUrl }: RunningExchange) => ({
  BTCTURK_BASE_URL: url,
  BTCTURK_GRAPH_URL: url,
  BTCTURK_WS_URL: wsUrl,
});

/** Resolves when the exchange has sent so many differences from now on. */
const differencesSent = async ({ wsUrl }: RunningExchange, count: number): Promise<void> => {
  const socket = new WebSocket(wsUrl);
  const frames = eventsOf<string>();
  socket.on('message', data => frames.add(String(data)));
  await once(socket, 'open');
  socket.send(JSON.stringify([151, { type: 151, channel: 'obdiff', event: SYMBOL, join: true }]));
  let seen = 0;
  await frames.find(frame => frame.startsWith('[432') && ++seen >= count);
  socket.close();
};

const cli = (
  words: readonly string[],
  env: Record<string, string> = {},
  signal = new AbortController().signal,
) => {
  const texts = { out: '', err: '' };
  const told = eventsOf<string>();
  const code = runCli(words, {
    out: text => {
      texts.out += text;
    },
    err: text => {
      texts.err += text;
      told.add(text);
    },
    terminal: false,
    env,
    signal,
  });
  return { texts, told, code };
};

describe('record and replay', () => {
  it('replays what it recorded: the last book is the recorded one', async () => {
    await inDirectory(async directory => {
      const { last } = await recordMarket(directory);
      const exchange = await startExchange({
        market: { type: 'recording', path: directory, speed: Number.POSITIVE_INFINITY },
        symbols: [],
        playAtOnce: false,
      });
      const endpoints = { baseUrl: exchange.url, graphUrl: exchange.url, wsUrl: exchange.wsUrl };
      const client = createRestClient({ endpoints, credentials: null });
      const instruments = await client.read({ type: 'instruments' });
      const btc = instruments.ok
        ? instruments.value.instruments.find(({ symbol }) => symbol === SYMBOL)
        : undefined;
      if (btc === undefined) throw new Error('the recorded pair is listed');
      expect([btc.priceScale, btc.quantityScale]).to.deep.equal([2, 4]);
      let newest: readonly number[] = [];
      const feed = createPublicFeed({
        wsUrl: exchange.wsUrl,
        now,
        config: {
          instruments: [btc],
          maxAgeMs: 5_000,
          idleReconnectMs: 30_000,
          seed: 1,
          forgottenAttempts: 0,
          ids: eventIds('market-data', 1),
        },
        perform: effect => {
          if (effect.type === 'tell' && effect.message.type === 'book-updated' && effect.message.book.trusted)
            newest = [...effect.message.book.levels];
        },
      });
      const ticks = setInterval(() => feed.tick(), 50);
      feed.tick();
      // The play begins when an account is logged in, too.
      const account = openPrivateFeed({
        wsUrl: exchange.wsUrl,
        credentials: exchange,
        seed: 1,
        onEvent: () => {},
        onState: () => {},
      });
      expect(await exchange.finished).to.match(/played to its end/);
      await new Promise(resolve => setImmediate(resolve));
      expect(newest).to.deep.equal(layout(last));
      clearInterval(ticks);
      feed.close();
      account.close();
      await client.close();
      await exchange.close();
    });
  }).timeout(20_000);

  it('records a venue from the command line, and what it wrote is whole', async () => {
    await inDirectory(async directory => {
      const exchange = await startExchange({ market: { type: 'generated' }, symbols: [SYMBOL], seed: 3 });
      const out = join(directory, 'r');
      const env = envOf(exchange);
      const record = cli(['record', '--symbols', 'btc_usdt', '--out', out, '--seconds', '2', '--json'], env);
      expect(await record.code, record.texts.err).to.equal(0);
      const summary = JSON.parse(record.texts.out) as RecordingSummary;
      expect(summary.frames).to.be.greaterThan(10);
      expect(summary.replies).to.be.greaterThan(1);
      const check = cli(['replay', out, '--check', '--json']);
      expect(await check.code, check.texts.err).to.equal(0);
      const found = JSON.parse(check.texts.out);
      expect(found.damage).to.equal(null);
      expect(found.gaps).to.deep.equal([]);
      expect(found.symbols[SYMBOL].differences).to.be.greaterThan(0);
      const again = cli(['record', '--symbols', 'btcusdt', '--out', out, '--seconds', '1'], env);
      expect(await again.code).to.equal(2);
      expect(again.texts.err).to.match(/holds a recording already/);
      const unknown = cli(['record', '--symbols', 'NOPETRY', '--out', join(directory, 'x')], env);
      expect(await unknown.code).to.equal(2);
      expect(unknown.texts.err).to.match(/NOPETRY, which the venue does not list/);
      await exchange.close();
    });
  }).timeout(20_000);

  it('records for as long as it is told to, also beyond what a timer holds', async () => {
    await inDirectory(async directory => {
      const exchange = await startExchange({ market: { type: 'generated' }, symbols: [SYMBOL], seed: 3 });
      const out = join(directory, 'r');
      const env = envOf(exchange);
      const month = String(30 * 86_400);
      const stop = new AbortController();
      const words = ['record', '--symbols', 'BTC/USDT', '--out', out, '--json'];
      const record = cli([...words, '--seconds', month, '--poll-seconds', month], env, stop.signal);
      await record.told.find(text => text.includes('market-data-connected'));
      await differencesSent(exchange, 10);
      expect(record.texts.out, 'it is still recording').to.equal('');
      stop.abort();
      expect(await record.code, record.texts.err).to.equal(0);
      const { frames, replies } = JSON.parse(record.texts.out) as RecordingSummary;
      expect(frames).to.be.greaterThan(5);
      expect(replies).to.be.lessThan(6);
      await exchange.close();
    });
  }).timeout(20_000);

  it('refuses a directory that cannot be recorded into, in words', async () => {
    await inDirectory(async directory => {
      const exchange = await startExchange({ market: { type: 'generated' }, symbols: [SYMBOL], seed: 3 });
      const env = envOf(exchange);
      writeFileSync(join(directory, 'file'), '');
      for (const out of [join(directory, 'file'), join(directory, 'file', 'below'), '/proc/no/such/folder']) {
        const record = cli(['record', '--symbols', 'btcusdt', '--out', out, '--seconds', '1'], env);
        expect(await record.code, out).to.equal(2);
        expect(record.texts.err)
          .to.contain('cannot be recorded into')
          .and.not.to.match(/\n\s+at /);
      }
      await exchange.close();
    });
  }).timeout(20_000);

  it('tells where a recording is cut off, and still plays what comes before', async () => {
    await inDirectory(async directory => {
      const { summary } = await recordMarket(directory);
      const second = summary.parts[1]?.file ?? '';
      const path = join(directory, second);
      truncateSync(path, readFileSync(path).length - 40);
      const check = cli(['replay', directory, '--check', '--json']);
      expect(await check.code).to.equal(1);
      const found = JSON.parse(check.texts.out);
      expect(found.damage).to.match(new RegExp(`^line \\d+: ${second}: .*cut off`));
      const firstPart = summary.parts[0]?.frames ?? 0;
      const { books, differences, trades } = found.symbols[SYMBOL];
      expect(books + differences + trades).to.be.at.least(firstPart);
      const replay = cli(['replay', directory, '--port', '0', '--speed', 'max', '--at-once', '--json']);
      expect(await replay.code).to.equal(1);
      expect(replay.texts.out).to.match(/played up to where it is damaged/);
      expect(replay.texts.err).to.match(/recording-damage/);
    });
  }).timeout(20_000);

  for (const [title, words, reason] of [
    ['no recording', ['replay'], /one recording is needed/],
    ['a recording that is not there', ['replay', '/nowhere/at/all'], /cannot be read/],
    ['a speed of nothing', ['replay', 'x', '--speed', '0'], /a number above 0/],
    ['a directory without a manifest', ['replay', '.', '--check'], /no usable manifest\.json/],
  ] as const) {
    it(`refuses ${title}`, async () => {
      const ran = cli(words);
      expect(await ran.code).to.equal(2);
      expect(ran.texts.err).to.match(reason);
    });
  }
});
