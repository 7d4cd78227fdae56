import { expect } from 'chai';
import fc from 'fast-check';
import { SKEW_MS, TICKER_SKEW_MS } from '#src/domain/book-trust.js';
import { askTicks, bidTicks } from '#src/domain/book-view.js';
import {
  FIRST_FRAME_DEADLINE_MS,
  GREETING_DEADLINE_MS,
  LEAVE_DEADLINE_MS,
} from '#src/domain/market-data-state.js';
import { MIRROR_RECONNECT, PRIVATE_RECONNECT, PUBLIC_RECONNECT } from '#src/domain/reconnect.js';
import { runs } from '../runs.js';
import {
  BTC,
  books,
  ETH,
  holds,
  type MarketRun,
  runMarket,
  socketEffects,
  statuses,
  subscriptions,
  told,
} from './market-run.js';
import {
  applyMove,
  differenceFrame,
  fullFrame,
  initialSides,
  layout,
  type Move,
  tickerFrame,
  tradeFrame,
  type Window,
  windowOf,
} from './venue-feed.js';

const B = BTC.symbol;
const RUNS = runs(1_000);
const START: Window = {
  bids: [
    [9_999, 5],
    [9_998, 6],
    [9_997, 7],
  ],
  asks: [
    [10_001, 1],
    [10_002, 2],
    [10_003, 3],
  ],
};
const after = (...moves: readonly Move[]): Window => {
  const sides = { bids: new Map(START.bids), asks: new Map(START.asks) };
  for (const move of moves) applyMove(sides, move);
  return windowOf(sides, 100);
};

/** Connected, in sync, trusted. */
const live = (run: MarketRun = runMarket()): MarketRun => {
  run.connect();
  run.frames(fullFrame(B, 10, START), tickerFrame(B, START));
  run.forget();
  return run;
};
/** Keeps one symbol alive by its ticker, at the venue's pace. */
const heartbeat = (run: MarketRun, window: Window = START, symbol = B) => {
  let nextMonoMs = 0;
  return () => {
    if (run.monoMs < nextMonoMs) return;
    nextMonoMs = run.monoMs + 750;
    run.frames(tickerFrame(symbol, window));
  };
};

describe('market data', () => {
  it('connects, waits for the version notice, joins four channels and is live after the first snapshot', () => {
    const run = runMarket();
    const connecting = run.step({ type: 'tick' });
    expect(socketEffects(connecting)).to.deep.equal(['open-socket']);
    expect(statuses(connecting)).to.deep.equal(['connecting']);
    expect(subscriptions(run.step({ type: 'opened' }))).to.deep.equal([]);
    expect(subscriptions(run.frames('[991,{"type":991}]'))).to.deep.equal([
      `+obdiff:${B}`,
      `+orderbook:${B}`,
      `+ticker:${B}`,
      `+trade:${B}`,
    ]);
    const synced = run.frames(fullFrame(B, 10, START));
    expect(statuses(synced)).to.deep.equal(['live']);
    expect(holds(synced)).to.deep.equal([`-stale-data:${B}`, `-book-untrusted:${B}`]);
    const [book] = books(synced);
    expect(book).to.deep.include({ symbol: B, version: 1, trusted: true, trustScore: 100 });
    expect([...(book?.levels ?? [])]).to.deep.equal(layout(START));
  });

  it('tells strategy and execution the same, each message with an id and a cause', () => {
    const run = runMarket();
    run.connect();
    const effects = run.frames(fullFrame(B, 10, START));
    const messagesTo = (listener: string) =>
      effects.flatMap(effect => (effect.type === 'tell' && effect.to === listener ? [effect.message] : []));
    expect(messagesTo('execution')).to.deep.equal(messagesTo('strategy'));
    for (const { id, cause } of told(effects)) {
      expect(id).to.match(/^market-data:1:\d+$/);
      expect(cause).to.match(/^socket:1:\d+$/);
    }
  });

  it('drops a connection that does not greet', () => {
    const run = runMarket();
    run.step({ type: 'tick' });
    run.step({ type: 'opened' });
    expect(socketEffects(run.wait(GREETING_DEADLINE_MS + 50))).to.include('close-socket');
  });

  it('does not trust an ack: without a snapshot in time it joins again, and then replaces the socket', () => {
    const run = runMarket();
    run.connect();
    run.frames('[100,{"type":100,"ok":true,"message":"join|obdiff:BTCUSDT"}]');
    const beat = heartbeat(run);
    expect(subscriptions(run.wait(FIRST_FRAME_DEADLINE_MS, beat))).to.deep.equal([`-obdiff:${B}`]);
    expect(
      subscriptions(run.frames('[100,{"type":100,"ok":true,"message":"leave|obdiff:BTCUSDT"}]')),
    ).to.deep.equal([`+obdiff:${B}`]);
    expect(socketEffects(run.wait(FIRST_FRAME_DEADLINE_MS, beat))).to.include('close-socket');
  });

  it('repeats the join of a quiet channel now and then, and never gives up the socket for it', () => {
    const run = live();
    const effects = run.wait(190_000, heartbeat(run));
    expect(subscriptions(effects).filter(words => words === `+trade:${B}`)).to.have.length(3);
    expect(subscriptions(effects).filter(words => words.startsWith('-'))).to.deep.equal([]);
    expect(socketEffects(effects)).to.deep.equal([]);
  });

  it('joins again although the leave is never acknowledged', () => {
    const run = live();
    run.frames(differenceFrame(B, 12, START, START));
    expect(subscriptions(run.wait(LEAVE_DEADLINE_MS))).to.include(`+obdiff:${B}`);
  });

  it('applies differences and publishes the newest book once per batch', () => {
    const run = live();
    const one = after({ side: 'bids', ticks: 10_000, lots: 4 });
    const two = after({ side: 'bids', ticks: 10_000, lots: 9 });
    const effects = run.frames(differenceFrame(B, 11, START, one), differenceFrame(B, 12, one, two));
    expect(books(effects)).to.have.length(1);
    expect(books(effects)[0]).to.deep.include({ version: 2, trusted: true });
    expect([...(books(effects)[0]?.levels ?? [])]).to.deep.equal(layout(two));
  });

  for (const [title, frame] of [
    ['a gap', differenceFrame(B, 12, START, START)],
    ['a crossed book', differenceFrame(B, 11, START, { ...START, bids: [[10_005, 1], ...START.bids] })],
    ['an unreadable difference', '[432,{"CS":11,"AO":[],"BO":[{"CP":1,"P":"x","A":"1"}],"event":"BTCUSDT"}]'],
    [
      'a difference off the price grid',
      '[432,{"CS":11,"AO":[],"BO":[{"CP":1,"P":"99.991","A":"1"}],"event":"BTCUSDT"}]',
    ],
    ['an unreadable snapshot', '[431,{"CS":11,"AO":7,"BO":[],"channel":"obdiff","event":"BTCUSDT"}]'],
  ] as const) {
    it(`says at once that the book is not to be trusted after ${title}, and joins again`, () => {
      const run = live();
      const effects = run.frames(frame);
      expect(statuses(effects)).to.deep.equal(['resyncing']);
      expect(holds(effects)).to.deep.equal([`+book-untrusted:${B}`]);
      expect(books(effects).map(({ trusted, trustScore }) => [trusted, trustScore])).to.deep.equal([
        [false, 0],
      ]);
      expect(subscriptions(effects)).to.deep.equal([`-obdiff:${B}`]);
      expect(books(run.frames(differenceFrame(B, 13, START, START)))).to.deep.equal([]);
      run.frames('[100,{"type":100,"ok":true,"message":"leave|obdiff:BTCUSDT"}]');
      const back = run.frames(fullFrame(B, 500, START));
      expect(statuses(back)).to.deep.equal(['live']);
      expect(holds(back)).to.deep.equal([`-book-untrusted:${B}`]);
      expect(books(back)[0]?.trusted).to.equal(true);
    });
  }

  it('replaces the socket when a book breaks for the third time in a row', () => {
    const run = live();
    for (let changeSet = 100; changeSet < 103; changeSet++) {
      expect(socketEffects(run.effects)).to.deep.equal([]);
      run.frames(differenceFrame(B, changeSet * 2, START, START));
      run.frames('[100,{"type":100,"ok":true,"message":"leave|obdiff:BTCUSDT"}]');
      run.frames(fullFrame(B, changeSet, START));
    }
    expect(socketEffects(run.effects)).to.deep.equal(['close-socket']);
    expect(statuses(run.effects).at(-1)).to.equal('disconnected');
  });

  it('does not disturb the other symbols twice for one that never works', () => {
    const run = runMarket([BTC, ETH]);
    run.connect();
    const beat = heartbeat(run);
    const eth = heartbeat(run, START, ETH.symbol);
    const opened: number[] = [];
    run.wait(600_000, () => {
      for (const effect of run.effects) {
        if (effect.type === 'open-socket') {
          opened.push(run.monoMs);
          run.step({ type: 'opened' });
          run.frames('[991,{"type":991}]', fullFrame(B, 10, START), fullFrame(ETH.symbol, 5, START));
        }
        // ETH answers every later join of its book with a crossed one.
        if (
          effect.type === 'subscribe' &&
          effect.symbol === ETH.symbol &&
          effect.channel === 'obdiff' &&
          effect.join
        )
          run.step({
            type: 'frame',
            frame: {
              type: 'book-snapshot',
              channel: 'obdiff',
              symbol: ETH.symbol,
              changeSet: 1,
              bids: [9, 1],
              asks: [8, 1],
            },
          });
      }
      run.forget();
      beat();
      eth();
    });
    expect(opened.length).to.be.within(2, 3);
    expect(
      run
        .step({ type: 'listener-joined', listener: 'strategy' })
        .some(
          effect =>
            effect.type === 'tell' &&
            effect.message.type === 'feed-status-changed' &&
            effect.message.symbol === B &&
            effect.message.state === 'live',
        ),
    ).to.equal(true);
  });

  it('takes a later snapshot on the same channel as the book', () => {
    const run = live();
    const moved = after({ side: 'asks', ticks: 10_000, lots: 3 });
    const effects = run.frames(fullFrame(B, 400, moved), differenceFrame(B, 401, moved, START));
    expect([...(books(effects)[0]?.levels ?? [])]).to.deep.equal(layout(START));
    expect(statuses(effects)).to.deep.equal([]);
  });

  it('knows a one-sided book and does not let anybody lean on it', () => {
    const run = live();
    const effects = run.frames(differenceFrame(B, 11, START, { ...START, bids: [] }));
    expect(books(effects)[0]).to.deep.include({ trusted: false, trustScore: 0 });
    expect(holds(effects)).to.deep.equal([`+book-untrusted:${B}`]);
    expect(subscriptions(effects)).to.deep.equal([]);
    const back = run.frames(differenceFrame(B, 12, { ...START, bids: [] }, START));
    expect(books(back)[0]?.trusted).to.equal(true);
    expect(holds(back)).to.deep.equal([`-book-untrusted:${B}`]);
  });
});

describe('market data freshness', () => {
  it('keeps a quiet book fresh by a ticker that agrees, and publishes it again with the newer proof', () => {
    const run = live();
    const effects = run.wait(20_000, heartbeat(run));
    expect(holds(effects)).to.deep.equal([]);
    const published = books(run.effects);
    expect(published.length).to.be.within(20, 30);
    for (const book of published) expect(book.trusted).to.equal(true);
    expect(published.at(-1)?.receivedMonoMs).to.be.greaterThan(run.monoMs - 1_500);
  });

  it('keeps a quiet book fresh by full books that agree', () => {
    const run = live();
    let nextMonoMs = 0;
    run.wait(9_000, () => {
      if (run.monoMs < nextMonoMs) return;
      nextMonoMs = run.monoMs + 1_000;
      run.frames(fullFrame(B, 1, START, 'orderbook'));
    });
    expect(statuses(run.effects)).to.deep.equal([]);
    expect(holds(run.effects)).to.not.include(`+stale-data:${B}`);
  });

  it('calls a book stale without proof for longer than the limit, wants a hold, and says when it is over', () => {
    const run = live();
    run.wait(4_950);
    expect(statuses(run.effects)).to.deep.equal([]);
    const effects = run.wait(150);
    expect(statuses(effects)).to.include('resyncing');
    expect(holds(effects)).to.deep.equal([`+stale-data:${B}`]);
    expect(books(effects).at(-1)?.trusted).to.equal(false);
    expect(subscriptions(effects)).to.deep.equal([`-obdiff:${B}`]);
    run.frames('[100,{"type":100,"ok":true,"message":"leave|obdiff:BTCUSDT"}]');
    const back = run.frames(fullFrame(B, 77, START));
    expect(holds(back)).to.include(`-stale-data:${B}`);
    expect(books(back).at(-1)?.trusted).to.equal(true);
  });

  it('wants the hold also when the first snapshot never comes', () => {
    const run = runMarket();
    run.connect();
    expect(holds(run.wait(5_100))).to.include(`+stale-data:${B}`);
  });

  it('finds a socket that is open and silent', () => {
    const run = live();
    const effects = run.wait(31_000);
    expect(socketEffects(effects)).to.include('close-socket');
  });

  it('finds a book that stands still while the ticker moves', () => {
    const run = live();
    const moved = after({ side: 'bids', ticks: 10_000, lots: 4 });
    const effects = run.wait(TICKER_SKEW_MS + 1_000, heartbeat(run, moved));
    expect(effects.length).to.be.greaterThan(0);
    expect(subscriptions(run.effects)).to.include(`-obdiff:${B}`);
    expect(statuses(run.effects)).to.include('resyncing');
  });

  it('does not mind a ticker that lags behind a book that moves', () => {
    const run = live();
    let changeSet = 10;
    let window = START;
    const beat = heartbeat(run, START);
    run.wait(10_000, () => {
      const next = after({ side: 'bids', ticks: 10_000, lots: 1 + (changeSet % 7) });
      changeSet += 1;
      run.frames(differenceFrame(B, changeSet, window, next));
      window = next;
      beat();
    });
    expect(statuses(run.effects)).to.deep.equal([]);
  });

  it('reports the share of stale seconds, the age of each channel and its facts', () => {
    const run = live();
    run.wait(20_000);
    const gauges = run.effects.flatMap(effect => (effect.type === 'metric' ? [effect] : []));
    const share = gauges.filter(({ name }) => name === 'stale_market_data_rate').at(-1);
    expect(share?.value).to.be.within(0.5, 0.9);
    const age = gauges.filter(
      ({ name, labels }) => name === 'btcbot_channel_age_ms' && labels?.channel === 'ticker',
    );
    expect(age.length).to.be.greaterThan(5);
    const status = run.effects.findLast(effect => effect.type === 'status');
    expect(status).to.have.nested.property('facts.books[0].trusted', false);
    expect(status).to.have.nested.property('facts.books[0].bid', '99.99');
  });
});

describe('market data cross-checks', () => {
  const wrong = after({ side: 'asks', ticks: 10_002, lots: 40 });

  it('resyncs when two full books at least a second apart contradict it in the same way', () => {
    const run = live();
    expect(books(run.frames(fullFrame(B, 1, wrong, 'orderbook')))[0]).to.deep.include({
      trusted: true,
      trustScore: 75,
    });
    run.wait(SKEW_MS / 2);
    run.frames(fullFrame(B, 2, wrong, 'orderbook'));
    expect(statuses(run.effects)).to.deep.equal([]);
    run.wait(SKEW_MS / 2);
    const effects = run.frames(fullFrame(B, 3, wrong, 'orderbook'));
    expect(statuses(effects)).to.deep.equal(['resyncing']);
    expect(holds(effects)).to.deep.equal([`+book-untrusted:${B}`]);
  });

  it('finds a level that should have been deleted', () => {
    const run = live();
    const without = { ...START, bids: START.bids.slice(1) };
    run.frames(fullFrame(B, 1, without, 'orderbook'));
    run.wait(SKEW_MS);
    expect(statuses(run.frames(fullFrame(B, 2, without, 'orderbook')))).to.deep.equal(['resyncing']);
  });

  it('forgives differences that skew explains', () => {
    const run = live();
    let changeSet = 10;
    let window = START;
    for (let round = 0; round < 20; round++) {
      const next = after({ side: 'bids', ticks: 9_999, lots: 10 + round });
      // The full book is always one change behind.
      run.frames(fullFrame(B, round, window, 'orderbook'), differenceFrame(B, ++changeSet, window, next));
      run.wait(SKEW_MS);
      window = next;
    }
    expect(statuses(run.effects)).to.deep.equal([]);
  });

  it('resyncs when trades happen far outside the book, and lowers the score before', () => {
    const run = live();
    expect(books(run.frames(tradeFrame(B, '1', '130')))[0]).to.deep.include({
      trusted: true,
      trustScore: 80,
    });
    run.frames(tradeFrame(B, '2', '130'));
    expect(statuses(run.frames(tradeFrame(B, '3', '130')))).to.deep.equal(['resyncing']);
  });

  it('is at ease with trades near the book', () => {
    const run = live();
    for (let id = 0; id < 20; id++) run.frames(tradeFrame(B, `t${id}`, id % 2 === 0 ? '99.99' : '100.5'));
    expect(statuses(run.effects)).to.deep.equal([]);
  });
});

describe('market data trades', () => {
  const history = (...ids: readonly string[]): string =>
    JSON.stringify([
      421,
      {
        symbol: B,
        items: ids.map(id => ({ D: '1790133590002', I: id, A: '0.0012', P: '100', S: 1 })),
        channel: 'trade',
        event: B,
        type: 421,
      },
    ]);
  const ids = (run: MarketRun): readonly string[] =>
    told(run.effects).flatMap(message => (message.type === 'public-trade' ? [message.tradeId] : []));

  it('keeps the history of the first join to itself, and fills a break from a later one, oldest first', () => {
    const run = live();
    run.frames(history('c', 'b', 'a'), tradeFrame(B, 'd', '100'), tradeFrame(B, 'd', '100'));
    expect(ids(run)).to.deep.equal(['d']);
    run.step({ type: 'closed', detail: 'closed with code 1006' });
    run.connect();
    run.forget();
    run.frames(history('f', 'e', 'd', 'c'));
    expect(ids(run)).to.deep.equal(['e', 'f']);
  });
});

describe('market data connections', () => {
  it('says that it is disconnected, and publishes the book as untrusted', () => {
    const run = live();
    const effects = run.step({ type: 'closed', detail: 'closed with code 1000' });
    expect(statuses(effects)).to.deep.equal(['disconnected']);
    expect(books(effects)[0]).to.deep.include({ trusted: false, trustScore: 0 });
  });

  it('comes back by itself and needs a new snapshot before anything is trusted', () => {
    const run = live();
    run.step({ type: 'closed', detail: 'gone' });
    const joined = run.connect();
    expect(subscriptions(joined)).to.have.length(4);
    expect(books(run.frames(differenceFrame(B, 11, START, START)))).to.deep.equal([]);
    expect(books(run.frames(fullFrame(B, 900, START)))[0]?.trusted).to.equal(true);
  });

  it('tells a listener that has restarted where everything stands', () => {
    const run = live();
    const effects = run.step({ type: 'listener-joined', listener: 'strategy' });
    const [first] = effects.flatMap(effect => (effect.type === 'tell' ? [effect.message] : []));
    expect(first).to.deep.include({ type: 'instruments-listed', instruments: [BTC] });
    expect(statuses(effects)).to.deep.equal(['live']);
    expect(books(effects)[0]).to.deep.include({ version: 1, trusted: true });
    expect(effects.every(effect => effect.type === 'tell' && effect.to === 'strategy')).to.equal(true);
  });

  it('spreads the joins of hundreds of symbols over several steps', () => {
    const run = runMarket(
      Array.from({ length: 379 }, (_, index) => ({ ...BTC, symbol: `A${index}USDT`, pairId: index })),
    );
    expect(subscriptions(run.connect())).to.have.length(40);
    run.wait(2_000);
    expect(new Set(subscriptions(run.effects)).size).to.equal(4 * 379);
  });

  for (const [title, react] of [
    [
      'accepts and closes',
      (run: MarketRun) => run.step({ type: 'opened' }) && run.step({ type: 'closed', detail: 'x' }),
    ],
    ['refuses the handshake', (run: MarketRun) => run.step({ type: 'closed', detail: 'HTTP 429' })],
    [
      'greets, sends a book and closes',
      (run: MarketRun) => {
        run.step({ type: 'opened' });
        run.frames('[991,{"type":991}]', fullFrame(B, 10, START));
        run.step({ type: 'closed', detail: 'x' });
      },
    ],
    ['says nothing', () => {}],
  ] as const) {
    it(`makes at most its share of attempts in any minute, spread by jitter, when the venue ${title} for ten minutes`, () => {
      const first: number[] = [];
      for (const seed of [1, 2, 3, 4]) {
        const run = runMarket([BTC], { seed });
        const attempts: number[] = [];
        run.wait(600_000, () => {
          const opens = socketEffects(run.effects).filter(type => type === 'open-socket').length;
          run.forget();
          if (opens === 0) return;
          attempts.push(run.monoMs);
          react(run);
        });
        expect(attempts.length).to.be.greaterThan(6);
        for (const at of attempts)
          expect(attempts.filter(other => other >= at && other < at + 60_000).length).to.be.at.most(
            PUBLIC_RECONNECT.attemptsMax,
          );
        first.push((attempts[2] ?? 0) - (attempts[0] ?? 0));
      }
      expect(new Set(first).size).to.equal(4);
    });
  }

  it('shares ten attempts a minute with whoever else connects from the same address', () => {
    for (const other of [PRIVATE_RECONNECT, MIRROR_RECONNECT]) {
      expect(other.windowMs).to.equal(PUBLIC_RECONNECT.windowMs);
      expect(PUBLIC_RECONNECT.attemptsMax + other.attemptsMax).to.equal(10);
    }
  });

  it('wants a hold in a reconnect storm and clears it after a minute of useful data', () => {
    const run = runMarket();
    for (let count = 0; count < 5; count++) {
      run.connect();
      run.step({ type: 'closed', detail: 'x' });
    }
    run.wait(100);
    expect(holds(run.effects)).to.include('+ws-reconnect');
    run.connect();
    run.frames(fullFrame(B, 10, START));
    run.forget();
    run.wait(59_000, heartbeat(run));
    expect(holds(run.effects)).to.not.include('-ws-reconnect');
    run.wait(3_000, heartbeat(run));
    expect(holds(run.effects)).to.include('-ws-reconnect');
  });

  it('takes what an earlier incarnation may have attempted for a storm only once it has lost a connection itself', () => {
    const run = runMarket([BTC], { forgottenAttempts: 4 });
    run.connect();
    run.wait(1_000);
    expect(holds(run.effects)).to.not.include('+ws-reconnect');
    run.step({ type: 'closed', detail: 'x' });
    run.connect();
    run.wait(100);
    expect(holds(run.effects)).to.include('+ws-reconnect');
  });

  it('counts the attempts that an earlier incarnation may have made', () => {
    const run = runMarket([BTC], { forgottenAttempts: 2 });
    expect(socketEffects(run.step({ type: 'tick' }))).to.deep.equal([]);
  });

  for (const [attempts, waits] of [
    [[], false],
    [[-30_000, -15_000, 900], false],
    [[-70_000, -62_000, -61_000, -15_000, 900], false],
    [[-30_000, -15_000, 0, 900], true],
    [[-40_000, -30_000, -20_000, -10_000, 0, 900], true],
  ] as const)
    it(`${waits ? 'waits' : 'connects at once'} when earlier incarnations connected ${attempts.length} times, at ${attempts.join(', ')} ms`, () => {
      // It starts at 1,000 ms.
      const run = runMarket([BTC], { earlierAttempts: attempts });
      expect(socketEffects(run.step({ type: 'tick' }))).to.deep.equal(waits ? [] : ['open-socket']);
    });

  it('never connects more often than its share of a minute allows, however often it is replaced', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ livesMs: fc.integer({ min: 100, max: 20_000 }), seed: fc.integer() }), {
          minLength: 10,
          maxLength: 30,
        }),
        fc.boolean(),
        (lives, loses) => {
          const attempts: number[] = [];
          let startMs = 0;
          for (const { livesMs, seed } of lives) {
            const run = runMarket([BTC], { seed, earlierAttempts: attempts.map(atMs => atMs - startMs) });
            const startedMs = run.monoMs;
            while (run.monoMs < startedMs + livesMs) {
              if (socketEffects(run.wait(50)).includes('open-socket')) attempts.push(startMs + run.monoMs);
              else if (loses) run.step({ type: 'closed', detail: 'x' });
            }
            startMs += livesMs;
          }
          for (const atMs of attempts)
            expect(attempts.filter(other => other >= atMs && other < atMs + 59_900).length).to.be.at.most(
              PUBLIC_RECONNECT.attemptsMax,
            );
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('market data under random faults', () => {
  type Event =
    | { readonly type: 'move'; readonly moves: readonly Move[] }
    | { readonly type: 'drop' | 'repeat' | 'full' | 'ticker' | 'close' | 'garbage' | 'flip' }
    | { readonly type: 'wait'; readonly ms: number };
  const move = fc.record<Move>({
    side: fc.constantFrom('bids', 'asks'),
    ticks: fc.integer({ min: 9_980, max: 10_020 }),
    lots: fc.integer({ min: 0, max: 9 }),
  });
  const event: fc.Arbitrary<Event> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ type: fc.constant('move' as const), moves: fc.array(move, { maxLength: 3 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 50, max: 3_000 }) }),
    },
    {
      weight: 4,
      arbitrary: fc.constantFrom<Event>(
        { type: 'drop' },
        { type: 'repeat' },
        { type: 'full' },
        { type: 'ticker' },
        { type: 'close' },
        { type: 'garbage' },
      ),
    },
  );

  /** A venue that obeys joins and leaves, and loses what it is told to lose. */
  const play = (events: readonly Event[], seed: number) => {
    const run = runMarket([BTC], { seed });
    const sides = initialSides(10_000, 15);
    let window = windowOf(sides, 10);
    const history = new Set([layout(window).join()]);
    let joined = false;
    let up = false;
    let changeSet = seed;
    let drop = false;
    let last = '';
    const send = (text: string): void => {
      if (up) run.frames(text);
    };
    const obey = (): void => {
      for (let effects = run.effects; effects.length > 0; effects = run.effects) {
        check(effects);
        run.forget();
        for (const effect of effects) {
          if (effect.type === 'open-socket') {
            up = true;
            joined = false;
            run.step({ type: 'opened' });
            send('[991,{"type":991}]');
          } else if (effect.type === 'close-socket') up = false;
          else if (effect.type === 'subscribe' && effect.channel === 'obdiff') {
            joined = effect.join;
            changeSet += 100;
            send(
              JSON.stringify([
                100,
                { type: 100, ok: true, message: `${joined ? 'join' : 'leave'}|obdiff:${B}` },
              ]),
            );
            if (joined) send(fullFrame(B, changeSet, window));
          } else if (effect.type === 'subscribe' && effect.join && effect.channel === 'ticker')
            send(tickerFrame(B, window));
        }
      }
    };
    const check = (effects: typeof run.effects): void => {
      for (const book of books(effects)) {
        if (!book.trusted) continue;
        expect(history.has([...book.levels].join()), 'a trusted book was never the venue’s').to.equal(true);
        expect((bidTicks(book) ?? 0) < (askTicks(book) ?? 0)).to.equal(true);
      }
    };
    const advance = (moves: readonly Move[]): void => {
      for (const one of moves) applyMove(sides, one);
      const next = windowOf(sides, 10);
      history.add(layout(next).join());
      changeSet += 1;
      last = differenceFrame(B, changeSet, window, next);
      window = next;
      if (joined && !drop) send(last);
      drop = false;
    };
    run.step({ type: 'tick' });
    obey();
    for (const one of events) {
      if (one.type === 'move') advance(one.moves);
      if (one.type === 'wait') run.wait(one.ms, obey);
      if (one.type === 'drop') drop = true;
      if (one.type === 'repeat' && joined && last !== '') send(last);
      if (one.type === 'full') send(fullFrame(B, 1, window, 'orderbook'));
      if (one.type === 'ticker') send(tickerFrame(B, window));
      if (one.type === 'garbage') send('[432,{"event":"BTCUSDT","CS":');
      if (one.type === 'close' && up) {
        up = false;
        run.step({ type: 'closed', detail: 'gone' });
      }
      obey();
    }
    // The faults are over: the venue keeps talking, and the book must come back and be the venue's.
    drop = false;
    let trustedNow = false;
    for (let round = 0; round < 400 && !trustedNow; round++) {
      run.wait(750, obey);
      advance([{ side: 'bids', ticks: 9_000, lots: 1 + (round % 5) }]);
      send(tickerFrame(B, window));
      const seen = books(run.effects);
      obey();
      trustedNow = seen.some(book => book.trusted && [...book.levels].join() === layout(window).join());
    }
    return trustedNow || window.bids.length === 0 || window.asks.length === 0;
  };

  it('never calls a book trusted that was not the venue’s, and always comes back', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.integer({ min: 1, max: 1_000 }), (events, seed) => {
        expect(play(events, seed)).to.equal(true);
      }),
      { numRuns: Math.ceil(RUNS / 4) },
    );
  });
});
