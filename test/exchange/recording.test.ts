/** Recordings as files: whole, compressed, damaged, cut off; and played against the exchange. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import { levelsOf } from '#src/domain/matching.js';
import { formatDecimal } from '#src/domain/money.js';
import {
  openRecording,
  playRecording,
  type RecordedEntry,
  RecordingError,
  type RecordingItem,
  readRecording,
} from '#src/exchange/recording.js';
import { startExchange } from '#src/exchange/server.js';
import { amounts, harness, KEY, SECRET, sign } from './harness.js';

const folder = mkdtempSync(join(tmpdir(), 'recording-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const level = (price: string, amount: string) => ({ P: price, A: amount });
const change = (kind: number, price: string, amount: string) => ({ CP: kind, P: price, A: amount });
const line = (at: number, model: number, payload: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ at, frame: [model, payload] });
const whole = (at: number, cs: number): string =>
  line(at, 431, {
    CS: cs,
    PS: 'BTCUSDT',
    AO: [level('61837.64', '1.6'), level('61837.65', '0.008')],
    BO: [level('61837.63', '2.5'), level('61830.1', '0.4')],
    channel: 'obdiff',
    event: 'BTCUSDT',
    type: 431,
  });
const difference = (
  at: number,
  cs: number,
  bids: readonly unknown[],
  asks: readonly unknown[] = [],
): string =>
  line(at, 432, {
    CS: cs,
    PS: 'BTCUSDT',
    AO: asks,
    BO: bids,
    channel: 'obdiff',
    event: 'BTCUSDT',
    type: 432,
  });
const trade = (at: number, price: string, amount: string, side: 0 | 1): string =>
  line(at, 422, {
    D: String(at),
    I: `t${at}`,
    A: amount,
    P: price,
    PS: 'BTCUSDT',
    S: side,
    channel: 'trade',
    event: 'BTCUSDT',
    type: 422,
  });

const LINES = [
  whole(1_000, 10),
  difference(1_100, 11, [change(0, '61837.63', '3')]),
  trade(1_150, '61837.63', '0.25', 1),
  difference(1_200, 12, [change(3, '61830.1', '0.4')], [change(1, '61838', '1')]),
];
const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const readAll = async (path: string): Promise<RecordingItem[]> => {
  const items: RecordingItem[] = [];
  for await (const item of readRecording(path)) items.push(item);
  return items;
};
const kinds = (items: readonly RecordingItem[]): string[] =>
  items.map(item => (item.type === 'entry' ? `${item.entry.line} ${item.entry.activity.type}` : item.type));
const WHOLE = ['1 book', '2 book', '3 trade', '4 book'];

describe('reading a recording', () => {
  for (const [title, name, content] of [
    ['plain', 'plain.jsonl', `${LINES.join('\n')}\n`],
    ['without a last line end', 'open.jsonl', LINES.join('\n')],
    ['compressed', 'small.jsonl.gz', gzipSync(`${LINES.join('\n')}\n`)],
    ['compressed under another name', 'small.bin', gzipSync(LINES.join('\n'))],
  ] as const)
    it(`gives every entry of one that is ${title}`, async () => {
      expect(kinds(await readAll(file(name, content)))).to.deep.equal(WHOLE);
    });

  it('passes over empty lines, lines without a frame, other models and the full-book channel', async () => {
    const lines = [
      '{"at":900,"reply":{"status":200}}',
      LINES[0],
      '',
      line(1_050, 402, { B: '1' }),
      LINES[1]?.replaceAll('"obdiff"', '"orderbook"'),
      LINES[2],
    ];
    expect(kinds(await readAll(file('mixed.jsonl', lines.join('\n'))))).to.deep.equal(['2 book', '6 trade']);
  });

  for (const [title, name, content, damage, before] of [
    [
      'a line of no JSON',
      'text',
      [LINES[0], LINES[1], '{"at":1150,"frame":[42', LINES[3]].join('\n'),
      [3, 'the line is not whole JSON'],
      2,
    ],
    ['a line that is no object', 'list', [LINES[0], '[1,2]'].join('\n'), [2, 'the line is not an object'], 1],
    [
      'no arrival time',
      'time',
      [LINES[0], '{"frame":[431,{}]}'].join('\n'),
      [2, 'the line has no arrival time'],
      1,
    ],
    [
      'a price that is no number',
      'price',
      [LINES[0], difference(1_100, 11, [change(0, 'NaN', '3')])].join('\n'),
      [2, 'P is not a decimal text: "NaN"'],
      1,
    ],
    [
      'an unknown change',
      'cp',
      [LINES[0], difference(1_100, 11, [change(2, '61837.63', '3')])].join('\n'),
      [2, 'a level has CP 2'],
      1,
    ],
    [
      'a difference without its number',
      'cs',
      [LINES[0], LINES[1]?.replace('"CS":11,', '')].join('\n'),
      [2, 'a 432 has no CS'],
      1,
    ],
  ] as const)
    it(`tells ${title} by its line and keeps what came before`, async () => {
      const items = await readAll(file(`${name}.jsonl`, content));
      expect(items.filter(item => item.type === 'entry')).to.have.length(before);
      expect(items.at(-1)).to.deep.equal({ type: 'damage', line: damage[0], reason: damage[1] });
    });

  it('tells where a compressed file is cut off and keeps what came before', async () => {
    const many = [
      LINES[0],
      ...Array.from({ length: 3_000 }, (_, index) =>
        difference(1_100 + index, 11 + index, [change(0, '61837.63', String(1 + ((index * 7919) % 97)))]),
      ),
    ];
    const compressed = gzipSync(many.join('\n'));
    const items = await readAll(file('cut.jsonl.gz', compressed.subarray(0, compressed.length >> 1)));
    const last = items.at(-1);
    expect(last?.type).to.equal('damage');
    if (last?.type !== 'damage') return;
    expect(last.reason).to.contain('cut off');
    expect(items.length).to.be.greaterThan(100);
    expect(last.line).to.be.within(items.length - 1, items.length + 1);
  });

  it('tells a gap in the change sets and goes on', async () => {
    const items = await readAll(
      file('gap.jsonl', [LINES[0], difference(1_100, 14, []), LINES[3]].join('\n')),
    );
    expect(kinds(items)).to.deep.equal(['1 book', 'gap', '2 book', 'gap', '3 book']);
  });
});

describe('opening a recording', () => {
  it('takes the decimals of its prices, where the catalogue has other ones', async () => {
    const { listings } = await openRecording(file('scales.jsonl', LINES.join('\n')));
    expect(listings).to.have.length(1);
    expect(listings[0]).to.include({
      symbol: 'BTCUSDT',
      pairId: 19,
      denominatorScale: 2,
      hasFraction: true,
      quantityScale: 8,
    });
  });

  it('lists a pair that the catalogue does not have', async () => {
    const { listings } = await openRecording(
      file('other.jsonl', LINES.join('\n').replaceAll('BTCUSDT', 'SOLTRY')),
    );
    expect(listings[0]).to.include({ symbol: 'SOLTRY', base: 'SOL', quote: 'TRY' });
  });

  for (const [title, path, words] of [
    ['is not there', () => join(folder, 'absent.jsonl'), /absent\.jsonl cannot be read: ENOENT/],
    ['is a folder without a manifest', () => folder, /has no usable manifest\.json: ENOENT/],
    ['is empty', () => file('empty.jsonl', ''), /holds no book frames/],
    [
      'is something else',
      () => file('else.jsonl', 'hello\n'),
      /the line is not whole JSON \(line 1\), and nothing to play/,
    ],
    ['has no book', () => file('trades.jsonl', LINES[2] ?? ''), /holds no book frames/],
  ] as const)
    it(`refuses one that ${title}`, async () => {
      const failure = await openRecording(path()).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).to.be.instanceOf(RecordingError);
      expect(String(failure)).to.match(words);
    });
});

describe('playing a recording', () => {
  const play = async (
    path: string,
    speed: number,
  ): Promise<{ entries: RecordedEntry[]; waits: number; notices: string[] }> => {
    const entries: RecordedEntry[] = [];
    const notices: string[] = [];
    let waits = 0;
    await playRecording((await openRecording(path)).items, {
      speed,
      feed: entry => entries.push(entry),
      caughtUp: () => {
        waits += 1;
        return Promise.resolve();
      },
      notice: item => notices.push(item.type),
      signal: new AbortController().signal,
    });
    return { entries, waits, notices };
  };

  it('feeds every entry in order, at any speed', async () => {
    const path = file('play.jsonl', LINES.join('\n'));
    for (const speed of [100, Number.POSITIVE_INFINITY])
      expect((await play(path, speed)).entries.map(entry => entry.line)).to.deep.equal([1, 2, 3, 4]);
  });

  it('waits for its consumers at full speed, burst by burst', async () => {
    const many = [LINES[0], ...Array.from({ length: 320 }, (_, index) => difference(1_100, 11 + index, []))];
    const { entries, waits } = await play(file('long.jsonl', many.join('\n')), Number.POSITIVE_INFINITY);
    expect([entries.length, waits]).to.deep.equal([321, 11]);
  });

  it('plays a damaged one up to its damage', async () => {
    const path = file('damaged.jsonl', [...LINES, '{"at":'].join('\n'));
    const { entries, notices } = await play(path, Number.POSITIVE_INFINITY);
    expect([entries.length, notices]).to.deep.equal([4, ['damage']]);
  });

  it('ends an exchange: client first, every frame sent, then finished', async () => {
    const exchange = await startExchange({
      market: {
        type: 'recording',
        path: file('server.jsonl', LINES.join('\n')),
        speed: Number.POSITIVE_INFINITY,
      },
      symbols: ['BTCUSDT'],
      credentials: { apiKey: KEY, apiSecret: SECRET },
      balances: amounts({ USDT: '10000' }),
    });
    try {
      const frames: unknown[] = [];
      const socket = new WebSocket(exchange.wsUrl);
      socket.on('message', message => frames.push(JSON.parse(message.toString())));
      await new Promise(resolved => socket.once('open', resolved));
      for (const channel of ['obdiff', 'trade'])
        socket.send(JSON.stringify([151, { type: 151, channel, event: 'BTCUSDT', join: true }]));
      socket.send(
        JSON.stringify([
          114,
          {
            type: 114,
            publicKey: KEY,
            timestamp: Date.now(),
            nonce: 15_000,
            signature: sign(SECRET, `${KEY}15000`),
          },
        ]),
      );
      expect(await exchange.finished).to.match(/server\.jsonl has been played to its end/);
      const models = (frames as [number, unknown][]).map(([model]) => model);
      expect(models).to.deep.equal([991, 100, 431, 100, 421, 114, 432, 422, 432]);
      socket.terminate();
    } finally {
      await exchange.close();
    }
  });

  it('refuses symbols that the recording does not have', async () => {
    const path = file('wrong.jsonl', LINES.join('\n'));
    const failure = await startExchange({
      market: { type: 'recording', path, speed: 1 },
      symbols: ['ETHTRY'],
    }).then(
      () => undefined,
      (error: unknown) => String(error),
    );
    expect(failure).to.match(/has BTCUSDT, not ETHTRY: set SYMBOLS to match/);
  });
});

describe('the shared recording', () => {
  const path = resolve(process.env.BTCBOT_SHARED ?? '../shared', 'data/btcusdt-2024-08-08.jsonl.gz');

  it('is shown level by level as it was recorded', async function () {
    let there = true;
    try {
      readFileSync(path);
    } catch {
      there = false;
    }
    if (!there) {
      console.log(`        ${path} is not here: the same is proven on generated books`);
      return;
    }
    this.timeout(20_000);
    const { items, listings } = await openRecording(path);
    const self = harness({ sources: { BTCUSDT: 'recorded' }, listings, noAccount: true });
    const expected = { buy: new Map<string, bigint>(), sell: new Map<string, bigint>() };
    let books = 0;
    for await (const item of items) {
      if (item.type !== 'entry') throw new Error(`${item.type} at line ${item.line}`);
      const { activity } = item.entry;
      self.market('BTCUSDT', activity);
      if (activity.type !== 'book') continue;
      books += 1;
      for (const [side, levels] of [
        ['buy', activity.bids],
        ['sell', activity.asks],
      ] as const) {
        if (activity.whole) expected[side].clear();
        for (const { price, total } of levels)
          if (total === 0n) expected[side].delete(String(price));
          else expected[side].set(String(price), total);
      }
      if (books % 50 !== 0) continue;
      for (const side of ['buy', 'sell'] as const) {
        const shown = levelsOf(self.venue.markets.get('BTCUSDT')!.book, side);
        expect(new Map(shown.map(({ price, total }) => [String(price), total]))).to.deep.equal(
          new Map(
            [...expected[side]].sort(([left], [right]) => {
              const order = BigInt(left) < BigInt(right) ? -1 : 1;
              return side === 'buy' ? order : -order;
            }),
          ),
        );
      }
    }
    expect(books).to.equal(6_421);
    expect(formatDecimal(self.venue.markets.get('BTCUSDT')?.lastPrice ?? 0n)).to.equal('61602.02');
  });
});
