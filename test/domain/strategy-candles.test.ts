import { expect } from 'chai';
import { CANDLE_LENGTHS_MS, type Candle } from '#src/domain/candles.js';
import { dearestFees } from '#src/domain/fees.js';
import type { CandlesRead, CandlesWaiting, PublicTrade } from '#src/domain/market-events.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Now } from '#src/domain/step.js';
import { defineStrategy, type Strategy, type StrategyIntent } from '#src/domain/strategy.js';
import { CANDLES_KEPT, HISTORY_AGAIN_MS, HISTORY_ASKS_MAX } from '#src/domain/strategy-candles.js';
import {
  initialStrategyHost,
  type StrategyHostEffect,
  type StrategyHostInput,
  statusFacts,
  stepStrategyHost,
} from '#src/domain/strategy-host.js';
import { account, BTCTRY, control, listed } from '../strategies/fixtures.js';

const MINUTE = CANDLE_LENGTHS_MS['1m'];
const T0 = 20_718 * 86_400_000;
const BUY: StrategyIntent = {
  type: 'place',
  symbol: 'BTCTRY',
  side: 'buy',
  method: 'limit',
  price: parseDecimal('3750000'),
  quantity: parseDecimal('0.001'),
  tag: 'dip',
};

const candle = (minute: number, price: number, over: Partial<Candle> = {}): Candle => ({
  symbol: 'BTCTRY',
  interval: '1m',
  openAtMs: T0 + minute * MINUTE,
  closeAtMs: T0 + (minute + 1) * MINUTE,
  open: parseDecimal(String(price)),
  high: parseDecimal(String(price)),
  low: parseDecimal(String(price)),
  close: parseDecimal(String(price)),
  volume: parseDecimal('1'),
  closed: true,
  complete: true,
  ...over,
});

/** The host of a strategy of minutes that begins now. */
const hostOf = (
  strategy: Strategy,
  {
    warmUp,
    now,
    history = false,
  }: { readonly warmUp: number; readonly now: Now; readonly history?: boolean },
) =>
  initialStrategyHost({
    definition: defineStrategy({
      name: 'sample',
      about: '',
      parameters: {},
      candles: () => [{ interval: '1m', warmUp }],
      create: () => strategy,
    }),
    parameters: {},
    symbols: ['BTCTRY'],
    incarnation: 1,
    startedAt: now,
    intentValidityMs: 1_000,
    maxOpenOrders: 5,
    maxOpenOrdersPerSymbol: 2,
    feesOf: dearestFees,
    candleHistory: history,
    restored: { saved: null, openOrders: [] },
  });

/** A host at the beginning of minute 10, whose strategy needs three candles and answers each with `answer`. */
const begin = (answer: readonly StrategyIntent[] = [], warmUp = 3, history = true) => {
  const seen: string[] = [];
  /** The newest candle in the view at each call, minus the one shown, in minutes. */
  const ahead: number[] = [];
  const strategy: Strategy = {
    onCandle: (view, { openAtMs, close, volume, complete }) => {
      ahead.push(((view.candles('BTCTRY', '1m').at(-1)?.openAtMs ?? 0) - openAtMs) / MINUTE);
      const price = close / 10n ** 16n;
      seen.push(`${(openAtMs - T0) / MINUTE} ${price}${volume === 0n ? ' empty' : ''}${complete ? '' : '?'}`);
      return answer;
    },
  };
  let now = { monoMs: 50_000, wallMs: T0 + 10 * MINUTE };
  let state = hostOf(strategy, { warmUp, now, history });
  const effects: StrategyHostEffect[] = [];
  const step = (...inputs: readonly StrategyHostInput[]): StrategyHostEffect[] => {
    const made = inputs.flatMap(input => {
      const stepped = stepStrategyHost(state, input, now);
      state = stepped.state;
      return stepped.effects;
    });
    effects.push(...made);
    return made;
  };
  const to = (receiver: string) =>
    effects.flatMap(effect => (effect.type === 'tell' && effect.to === receiver ? [effect.message] : []));
  step(control(), listed(BTCTRY), account({ TRY: '100000' }));
  return {
    seen,
    ahead,
    step,
    wishes: () => to('market-data'),
    placed: () => to('execution'),
    facts: () => statusFacts(state),
    at: (ms: number) => {
      now = { monoMs: 50_000 + ms, wallMs: T0 + 10 * MINUTE + ms };
    },
  };
};

const trade = (ms: number, price: number): PublicTrade => ({
  type: 'public-trade',
  id: 'market-data:1:1',
  cause: 'frame',
  symbol: 'BTCTRY',
  tradeId: String(ms),
  price: parseDecimal(String(price)),
  quantity: parseDecimal('1'),
  side: 'buy',
  tradedAtMs: T0 + 10 * MINUTE + ms,
});

const answer = (cause: string, candles: readonly Candle[], problem: string | null = null): CandlesRead => ({
  type: 'candles-read',
  id: 'market-data:1:2',
  cause,
  symbol: 'BTCTRY',
  interval: '1m',
  candles,
  problem,
});

const waiting = (wish: string, dueInMs: number): CandlesWaiting => ({
  type: 'candles-waiting',
  id: 'market-data:1:3',
  cause: 'queue',
  waiting: [{ wish, dueInMs }],
});

describe("a strategy's candles", () => {
  it('are asked for at the start, as many as the warm-up needs, and shown in order before its own', () => {
    const host = begin();
    const [wish, ...more] = host.wishes();
    expect(more).to.deep.equal([]);
    expect(wish).to.include({ type: 'candles-wanted', symbol: 'BTCTRY', interval: '1m', count: 3 });
    host.at(1_000);
    host.step(trade(500, 20));
    host.at(MINUTE + 1_000);
    host.step({ type: 'tick' });
    expect(host.seen, 'its own wait for the history').to.deep.equal([]);
    host.step(answer(wish?.id ?? '', [candle(6, 6), candle(7, 7), candle(9, 9)]));
    expect(host.seen).to.deep.equal(['6 6', '7 7', '8 7 empty', '9 9', '10 20?']);
    host.at(2 * MINUTE + 1_000);
    host.step({ type: 'tick' });
    expect(host.seen.at(-1)).to.equal('11 20 empty');
  });

  it("prefer the venue's candle to one of their own that may lack trades", () => {
    const host = begin();
    const [wish] = host.wishes();
    host.step(trade(500, 20));
    host.at(MINUTE + 1_000);
    host.step({ type: 'tick' }, answer(wish?.id ?? '', [candle(9, 9), candle(10, 15)]));
    expect(host.seen).to.deep.equal(['9 9', '10 15']);
  });

  it('are in the view no sooner than they are shown, however many come together', () => {
    const run = begin();
    const [wish] = run.wishes();
    run.step(answer(wish?.id ?? '', [candle(7, 1), candle(8, 2), candle(9, 3)]));
    run.at(5 * MINUTE + 1);
    run.step(trade(5 * MINUTE, 4), { type: 'tick' });
    expect(run.seen.length).to.be.greaterThan(3);
    expect(run.ahead).to.deep.equal(run.seen.map(() => 0));
  });

  it('leave out what of the history contradicts itself, and say so', () => {
    const host = begin();
    const [wish] = host.wishes();
    const made = host.step(
      answer(wish?.id ?? '', [candle(7, 7), candle(8, 8, { high: parseDecimal('1') }), candle(9, 9)]),
    );
    expect(host.seen).to.deep.equal(['7 7', '8 7 empty', '9 9']);
    expect(made.some(effect => effect.type === 'log' && effect.event === 'candle-history-problem')).to.equal(
      true,
    );
  });

  it("ignore an answer to another's question", () => {
    const host = begin();
    host.step(answer('strategy:1:999', [candle(9, 9)]));
    expect(host.seen).to.deep.equal([]);
  });

  it('let no order through before the warm-up is over, and show how far it is', () => {
    const host = begin([BUY]);
    const [wish] = host.wishes();
    host.step(answer(wish?.id ?? '', [candle(8, 8), candle(9, 9)]));
    expect(host.placed()).to.deep.equal([]);
    expect(host.facts()).to.include({
      state: 'warming up',
      warmUp: 'BTCTRY 1m: 2 of 3 candles',
      suppressed: 2,
    });
    host.step(trade(500, 20));
    host.at(2 * MINUTE + 1_000);
    host.step({ type: 'tick' });
    expect(host.facts()).to.include({ state: 'running' });
    expect(host.placed().map(message => ('tag' in message ? message.tag : ''))).to.deep.equal(['dip']);
  });

  it('are those of the warm-up to the last one of a history that has them all', () => {
    const host = begin([BUY]);
    const [wish] = host.wishes();
    host.step(answer(wish?.id ?? '', [candle(6, 6), candle(7, 7), candle(8, 8), candle(9, 9)]));
    expect(host.placed()).to.deep.equal([]);
    expect(host.facts()).to.include({ state: 'running', suppressed: 4 });
    host.step(trade(500, 20));
    host.at(MINUTE + 1_000);
    host.step({ type: 'tick' });
    expect(host.placed()).to.have.length(1);
  });

  it('are asked for again while nobody answers, then go on without a past', () => {
    const host = begin();
    host.step(trade(500, 20));
    for (let asks = 1; asks < HISTORY_ASKS_MAX; asks++) {
      host.at(asks * HISTORY_AGAIN_MS);
      host.step({ type: 'tick' });
    }
    expect(host.wishes()).to.have.length(HISTORY_ASKS_MAX);
    host.at(2 * MINUTE);
    host.step({ type: 'tick' });
    expect(host.seen).to.deep.equal(['10 20?']);
    const last = host.wishes().at(-1)?.id ?? '';
    host.step(answer(last, [candle(9, 9)]));
    expect(host.seen, 'too late to be in order').to.deep.equal(['10 20?']);
  });

  it('are waited for while they wait for their turn at the venue, however long, and the status says how long', () => {
    const host = begin();
    const [wish] = host.wishes();
    host.step(trade(500, 20));
    expect(host.facts()).to.include({
      history: "1 series wait for the venue's charts: nothing heard of them yet",
    });
    for (let second = 2; second <= 600; second += 2) {
      host.at(second * 1_000);
      host.step({ type: 'tick' }, waiting(wish?.id ?? '', 602_000 - second * 1_000));
    }
    expect(host.wishes(), 'what waits is not asked for again').to.have.length(1);
    expect(host.seen).to.deep.equal([]);
    expect(host.facts()).to.include({
      state: 'warming up',
      warmUp: 'BTCTRY 1m: 0 of 3 candles',
      history: "1 series wait for the venue's charts: the turn of the last comes in about 2 s",
    });
    host.step(answer(wish?.id ?? '', [candle(7, 7), candle(8, 8), candle(9, 9)]));
    expect(host.seen.slice(0, 4)).to.deep.equal(['7 7', '8 8', '9 9', '10 20?']);
    expect(host.facts()).not.to.have.property('history');
  });

  it('are asked for again under the same id when nothing more is heard of them, as of a worker that died', () => {
    const host = begin();
    const [wish] = host.wishes();
    host.at(5_000);
    host.step(waiting(wish?.id ?? '', 90_000), waiting('strategy:1:999', 1));
    expect(host.facts().history).to.match(/about 90 s/);
    host.at(5_000 + HISTORY_AGAIN_MS);
    host.step({ type: 'tick' });
    expect(host.wishes()).to.deep.equal([wish, wish]);
    expect(host.facts().history).to.match(/nothing heard/);
  });

  it('come from the market alone after so many refusals, or one that is for good', () => {
    for (const [refusals, final] of [
      [HISTORY_ASKS_MAX, false],
      [1, true],
    ] as const) {
      const host = begin();
      host.step(trade(500, 20));
      for (let refused = 1; refused <= refusals; refused++) {
        const wish = host.wishes().at(-1)?.id ?? '';
        // However long it waited for its turn each time.
        for (let second = 0; second < 60; second += 5) {
          host.at((refused * 80 + second) * 1_000);
          host.step(waiting(wish, 1_000), { type: 'tick' });
        }
        expect(host.seen).to.deep.equal([]);
        expect(host.wishes()).to.have.length(refused);
        host.step({ ...answer(wish, [], 'timeout'), ...(final ? { final } : {}) });
        host.at((refused * 80 + 70) * 1_000);
        host.step({ type: 'tick' });
      }
      expect(host.wishes()).to.have.length(refusals);
      expect(new Set(host.wishes().map(({ id }) => id)).size, 'a new question each time').to.equal(refusals);
      expect(host.seen[0]).to.equal('10 20?');
      expect(host.facts()).not.to.have.property('history');
    }
  });

  it('are built from the market alone where nobody is asked', () => {
    const host = begin([], 3, false);
    expect(host.wishes()).to.deep.equal([]);
    host.step(trade(500, 20));
    host.at(MINUTE + 1_000);
    host.step({ type: 'tick' });
    expect(host.seen).to.deep.equal(['10 20?']);
  });

  it('may come closed, each once, and those that are not newer are nothing', () => {
    const host = begin([], 1, false);
    for (const minute of [10, 11, 11, 10, 12])
      host.step({ type: 'candle-closed', id: 'x', cause: 'file', candle: candle(minute, minute) });
    expect(host.seen).to.deep.equal(['10 10', '11 11', '12 12']);
  });

  it('have what they changed saved at the next tick: a stop that rose with a close must outlive a crash', () => {
    let closes = '';
    const now = { monoMs: 1, wallMs: T0 };
    const strategy: Strategy = {
      onCandle: (_view, { close }) => {
        closes += String(close / 10n ** 16n);
        return [];
      },
      save: () => closes,
    };
    const state = hostOf(strategy, { warmUp: 0, now });
    stepStrategyHost(state, listed(BTCTRY), now);
    stepStrategyHost(state, { type: 'candle-closed', id: 'x', cause: 'file', candle: candle(0, 7) }, now);
    const saved = (at: typeof now): unknown[] =>
      stepStrategyHost(state, { type: 'tick' }, at).effects.flatMap(effect =>
        effect.type === 'append' ? effect.request.records : [],
      );
    expect(saved({ monoMs: 51, wallMs: T0 + 50 })).to.have.length(1);
    expect(saved({ monoMs: 101, wallMs: T0 + 100 })).to.deep.equal([]);
  });

  it('are kept in a bounded list', () => {
    let kept = 0;
    const now = { monoMs: 1, wallMs: T0 };
    const strategy: Strategy = {
      onCandle: view => {
        kept = view.candles('BTCTRY', '1m').length;
        return [];
      },
    };
    const state = hostOf(strategy, { warmUp: 1, now });
    stepStrategyHost(state, listed(BTCTRY), now);
    for (let minute = 0; minute < 5 * CANDLES_KEPT; minute++)
      stepStrategyHost(
        state,
        { type: 'candle-closed', id: 'x', cause: 'file', candle: candle(minute, 1) },
        now,
      );
    expect(kept).to.be.within(CANDLES_KEPT, 2 * CANDLES_KEPT);
  });
});
