import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect } from 'chai';
import fc from 'fast-check';
import { statusText } from '#src/cli/status.js';
import { fromLots, fromTicks } from '#src/domain/instrument.js';
import type { MarketEvent } from '#src/domain/market-events.js';
import { type Amount, parseDecimal as d, formatDecimal, notional } from '#src/domain/money.js';
import type { Fill, OrderState, OrderTerms } from '#src/domain/order.js';
import type { OrderUpdated } from '#src/domain/order-events.js';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import type { ToWorker } from '#src/messages/control.js';
import { initialTwin, stepTwin, type TwinInput } from '#src/research/twin.js';
import { compare, gapsOf, noFigures, type OrderPair, type Outcome } from '#src/research/twin-figures.js';
import { createWorld, type WorldRecording } from '#src/simulation/world.js';
import { pulse } from '#src/strategies/pulse.js';
import { fillOf, limitTerms, orderIn } from '../domain/orders.js';
import { runs } from '../runs.js';
import { BTCTRY, bookEvent, bookOf, listed } from '../strategies/fixtures.js';
import { cleanUp, REAL_BOT, startBot } from '../supervision/bot-process.js';
import { generatedMarket, STEADY_LATENCIES } from './studies.js';

interface TwinFacts {
  readonly openOrders: number;
  readonly leftOut: Readonly<Record<string, number>>;
  readonly feeLevel: number;
  readonly symbols: readonly {
    readonly symbol: string;
    readonly orders: number;
    readonly fillRateLive: number | null;
    readonly fillRatePaper: number | null;
    readonly fillRateGap: number | null;
    readonly priceGapBps: number | null;
    readonly profitLive: string | null;
    readonly profitPaper: string | null;
    readonly profitGap: string | null;
  }[];
}

const outcome = (quantity: string, value: string, costs: string): Outcome => ({
  quantity: d(quantity),
  value: d(value),
  costs: d(costs),
});

describe('the gaps between a live run and its twin', () => {
  it('are those worked out by hand', () => {
    const figures = noFigures();
    expect(gapsOf(figures, d('100'))).to.deep.equal({
      fillRateLive: null,
      fillRatePaper: null,
      fillRateGap: null,
      priceGapBps: null,
      profitLive: 0n,
      profitPaper: 0n,
      profitGap: 0n,
    });
    // Live bought 8 of 10, at 99 instead of 100 on paper, where only 4 were filled.
    compare(figures, {
      side: 'buy',
      price: d('100'),
      quantity: d('10'),
      live: outcome('8', '792', '0.8'),
      paper: outcome('4', '400', '0.4'),
    });
    // Live sold nothing of 10 at 110; paper sold all of it.
    compare(figures, {
      side: 'sell',
      price: d('110'),
      quantity: d('10'),
      live: outcome('0', '0', '0'),
      paper: outcome('10', '1100', '1.1'),
    });
    const gaps = gapsOf(figures, d('105'));
    // 800 and 1,500 of 2,100 wanted.
    expect(gaps.fillRateLive).to.be.closeTo(800 / 2_100, 1e-12);
    expect(gaps.fillRatePaper).to.be.closeTo(1_500 / 2_100, 1e-12);
    expect(gaps.fillRateGap).to.be.closeTo(-700 / 2_100, 1e-12);
    // Of what both bought, 4, live paid 396 and paper 400.
    expect(gaps.priceGapBps).to.equal(100);
    // −792 − 0.8 + 8 × 105, and −400 − 0.4 + 1,100 − 1.1 − 6 × 105.
    expect(
      [gaps.profitLive, gaps.profitPaper, gaps.profitGap].map(each => formatDecimal(each ?? 0n)),
    ).to.deep.equal(['47.2', '68.5', '-21.3']);
    expect(gapsOf(figures, null).profitGap).to.equal(null);
  });

  const lots = fc.integer({ min: 0, max: 1_000 });
  const filled = (of: number) =>
    fc.record({
      share: fc.integer({ min: 0, max: of }),
      ticks: fc.integer({ min: 1, max: 9_999 }),
      costs: lots,
    });
  const pair: fc.Arbitrary<OrderPair> = fc.integer({ min: 1, max: 500 }).chain(quantity =>
    fc
      .record({
        side: fc.constantFrom('buy' as const, 'sell' as const),
        ticks: fc.integer({ min: 1, max: 9_999 }),
        live: filled(quantity),
        paper: filled(quantity),
      })
      .map(({ side, ticks, live, paper }) => {
        const of = ({ share, ticks: at, costs }: typeof live): Outcome => ({
          quantity: fromLots(share, BTCTRY),
          value: notional(fromTicks(at, BTCTRY), fromLots(share, BTCTRY)),
          costs: share === 0 ? 0n : BigInt(costs),
        });
        return {
          side,
          price: fromTicks(ticks, BTCTRY),
          quantity: fromLots(quantity, BTCTRY),
          live: of(live),
          paper: of(paper),
        };
      }),
  );

  it('are exact, and turn around when the two change places', () =>
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 12 }), fc.integer({ min: 1, max: 9_999 }), (orders, ticks) => {
        const middle = fromTicks(ticks, BTCTRY);
        const figures = noFigures();
        const turned = noFigures();
        let profit: Amount = 0n;
        for (const order of orders) {
          compare(figures, order);
          compare(turned, { ...order, live: order.paper, paper: order.live });
          for (const [{ quantity, value, costs }, of] of [
            [order.live, 1n],
            [order.paper, -1n],
          ] as const)
            profit += of * ((order.side === 'buy' ? 1n : -1n) * (notional(middle, quantity) - value) - costs);
        }
        const gaps = gapsOf(figures, middle);
        const back = gapsOf(turned, middle);
        expect(gaps.profitGap).to.equal(profit);
        expect(back.profitGap).to.equal(-profit);
        expect(gaps.fillRateLive).to.equal(back.fillRatePaper);
        if (gaps.fillRateGap !== null)
          expect(gaps.fillRateGap).to.be.closeTo(-(back.fillRateGap ?? 0), 1e-12);
        expect(gaps.priceGapBps === null).to.equal(back.priceGapBps === null);
      }),
      { numRuns: runs(150) },
    ));
});

const ids = { id: 'x', cause: 'x' } as const;
const book = (bids: string, asks = '3'): MarketEvent =>
  bookEvent(bookOf(BTCTRY, [['100', bids]], [['102', asks]]));
const print = (price: string, quantity: string, side: 'buy' | 'sell' = 'sell'): MarketEvent => ({
  ...ids,
  type: 'public-trade',
  symbol: 'BTCTRY',
  tradeId: `${price}/${quantity}`,
  price: d(price),
  quantity: d(quantity),
  side,
  tradedAtMs: 0,
});
const feed = (state: 'live' | 'resyncing'): MarketEvent => ({
  ...ids,
  type: 'feed-status-changed',
  symbol: 'BTCTRY',
  state,
  reason: 'why',
});

/** A twin beside one order of 2 at 100, told what happens and when. */
const twinOf = (terms: Partial<OrderTerms> = {}) => {
  let state = initialTwin();
  let monoMs = 10_000;
  let facts: TwinFacts | null = null;
  const metrics = new Map<string, number>();
  const feedIn = (input: TwinInput): void => {
    const stepped = stepTwin(state, input, { monoMs, wallMs: monoMs });
    state = stepped.state;
    for (const effect of stepped.effects)
      if (effect.type === 'status') facts = effect.facts as unknown as TwinFacts;
      else if (effect.type === 'metric')
        metrics.set(`${effect.name} ${Object.values(effect.labels ?? {}).join(' ')}`, effect.value);
  };
  const wanted = limitTerms({ quantity: d('2'), ...terms });
  const twin = {
    market: (...events: readonly MarketEvent[]) => {
      for (const message of events) feedIn({ type: 'message', from: 'market-data', message });
      return twin;
    },
    order: (
      status: OrderState['status'],
      more: { readonly filled?: string; readonly fill?: Partial<Fill> } = {},
    ) => {
      const order = orderIn(
        { status, sentAtMs: 0, venueOrderId: 'V1', filled: d(more.filled ?? '0') } as never,
        wanted,
      );
      const fill = more.fill === undefined ? null : fillOf('2', more.fill);
      const message: OrderUpdated = { ...ids, type: 'order-updated', order, fill };
      feedIn({ type: 'message', from: 'execution', message });
      return twin;
    },
    lose: (peer: 'execution' | 'market-data') => {
      feedIn({ type: 'peer-lost', peer });
      return twin;
    },
    after: (ms: number) => {
      monoMs += ms;
      feedIn({ type: 'tick' });
      return twin;
    },
    facts: (): TwinFacts => {
      twin.after(1_000);
      if (facts === null) throw new Error('the twin has not reported');
      return facts;
    },
    metrics,
  };
  return twin.market(listed(BTCTRY), feed('live'), book('5'));
};

/** Sent and answered, and so in the paper book behind 5 others. */
const resting = (terms?: Partial<OrderTerms>) =>
  twinOf(terms).order('in-flight').after(20).order('working').after(100);

describe('the twin of an order', () => {
  it('waits behind what was shown when it came, and is filled when that has traded', () => {
    const twin = resting().market(print('100', '6')).after(50).market(print('100', '1'));
    const { symbols, leftOut } = twin
      .order('filled', { filled: '2', fill: { quantity: d('2'), fee: d('0.2'), tax: d('0.04') } })
      .after(3_000)
      .facts();
    expect(leftOut).to.deep.equal({});
    expect(symbols).to.have.length(1);
    // A maker of the first level pays 0.12 % of 200, as live did.
    expect(symbols[0]).to.deep.include({
      orders: 1,
      fillRateLive: 1,
      fillRatePaper: 1,
      priceGapBps: 0,
      profitGap: '0',
    });
    expect(twin.metrics.get('btcbot_twin_fill_rate BTCTRY paper')).to.equal(1);
    expect(twin.metrics.get('btcbot_twin_fill_rate_gap BTCTRY')).to.equal(0);
    expect(twin.metrics.get('btcbot_twin_profit_gap BTCTRY')).to.equal(0);
  });

  it('misses what live got, and the gaps say so', () => {
    const [gaps] = resting()
      .market(print('100', '6'))
      .order('filled', { filled: '2', fill: { quantity: d('2'), fee: d('0.2'), tax: d('0.04') } })
      .after(3_000)
      .facts().symbols;
    // 1 of 2 was filled on paper. The middle is 101: the other one earned 1 less its costs.
    expect(gaps).to.deep.include({
      fillRateLive: 1,
      fillRatePaper: 0.5,
      fillRateGap: 0.5,
      profitGap: '0.88',
    });
  });

  it('does not stand behind its own live order, whenever that is shown', () => {
    for (const shownFirst of [true, false]) {
      const twin = twinOf().order('in-flight');
      if (shownFirst) twin.market(book('7')).order('working').after(100);
      else twin.order('working').after(100).market(book('7'));
      // Five others trade, and the frame shows what is left: our live order alone.
      twin.market(print('100', '5'), book('2'), print('100', '2'));
      expect(twin.order('filled', { filled: '2', fill: {} }).after(3_000).facts().symbols[0]).to.deep.include(
        {
          fillRatePaper: 1,
        },
      );
    }
  });

  it('takes what it crosses at the prices shown before its live order took them', () => {
    const [gaps] = twinOf({ price: d('102') })
      .order('in-flight')
      .market(print('102', '2', 'buy'), book('5', '1'))
      .order('working')
      .order('filled', { filled: '2', fill: { price: d('102'), fee: d('0.408'), tax: d('0.0816') } })
      .after(3_000)
      .facts().symbols;
    expect(gaps).to.deep.include({ fillRatePaper: 1, priceGapBps: 0, profitGap: '0' });
  });

  it('is pulled when its cancel would be through, and not before', () => {
    const canceled = (ms: number) =>
      resting()
        .order('cancel-in-flight')
        .after(ms)
        .market(print('99', '50'))
        .order('canceled')
        .after(3_000)
        .facts().symbols[0];
    // The answer took 20 ms, and the exchange takes 15 for a cancel.
    expect(canceled(30)).to.deep.include({ orders: 1, fillRateLive: 0, fillRatePaper: 1 });
    expect(canceled(36)).to.deep.include({ orders: 1, fillRateLive: 0, fillRatePaper: 0 });
  });

  it('goes on the book without an answer, after the time that answers take', () => {
    const [gaps] = twinOf()
      .order('in-flight')
      .after(60)
      .market(print('99', '50'))
      .order('unknown')
      .order('canceled')
      .after(3_000)
      .facts().symbols;
    expect(gaps).to.deep.include({ fillRatePaper: 1 });
  });

  it('pays the fees of the level that live fills show', () => {
    const facts = resting()
      .market(print('99', '50'))
      .order('filled', { filled: '2', fill: { fee: d('0.1'), tax: d('0.02') } })
      .after(3_000)
      .facts();
    expect(facts.feeLevel).to.equal(5);
    expect(facts.symbols[0]?.profitGap).to.equal('0');
  });

  for (const [why, reason, act] of [
    ['was refused by the venue', 'rejected', twin => twin.order('in-flight').order('rejected')],
    [
      'lived through a gap of the market',
      'market-gap',
      twin => twin.order('in-flight').market(feed('resyncing')).order('canceled'),
    ],
    [
      'lived through a restart of market data',
      'market-gap',
      twin => twin.order('in-flight').lose('market-data').order('canceled'),
    ],
    ['may have been told of in part', 'orders-gap', twin => twin.order('in-flight').lose('execution')],
    [
      'came before there was a market',
      'no-market',
      twin => twin.market(feed('resyncing')).order('in-flight'),
    ],
    [
      'was filled by more than was told',
      'fills-missing',
      twin => twin.order('in-flight').order('filled', { filled: '2' }),
    ],
    [
      'was charged in another asset',
      'fee-in-another-asset',
      twin => twin.order('in-flight').order('filled', { filled: '2', fill: { feeAsset: 'BTC' } }),
    ],
  ] as readonly (readonly [string, string, (twin: ReturnType<typeof twinOf>) => ReturnType<typeof twinOf>])[])
    it(`that ${why} is not compared, and counted as ${reason}`, () => {
      const { leftOut, symbols, openOrders } = act(twinOf()).after(3_000).facts();
      expect(leftOut).to.deep.equal({ [reason]: 1 });
      expect(symbols).to.deep.equal([]);
      expect(openOrders).to.equal(0);
    });

  it('is none for a market order', () => {
    const { leftOut } = twinOf({ method: 'market', price: null }).order('in-flight').facts();
    expect(leftOut).to.deep.equal({ 'no-limit-order': 1 });
  });

  it('counts a fill once, however often it is told, and nobody else’s', () => {
    const told = { filled: '2', fill: { fee: d('0.2'), tax: d('0.04') } };
    const twin = resting().market(print('99', '50')).order('filled', told).order('filled', told);
    expect(twin.after(3_000).order('filled', told).facts().symbols[0]).to.deep.include({
      orders: 1,
      profitGap: '0',
    });
  });
});

/** The whole bot under virtual time with a twin that hears what the real one would. */
const beside = (options: {
  readonly config: Readonly<Record<string, unknown>>;
  readonly symbol: string;
  readonly forMs: number;
  readonly strategy?: StrategyDefinition;
  readonly recording?: WorldRecording;
}): TwinFacts => {
  let state = initialTwin();
  let tickedMs = 0;
  let facts: unknown = null;
  const feedIn = (input: TwinInput): void => {
    const stepped = stepTwin(state, input, world.time.now());
    state = stepped.state;
    for (const effect of stepped.effects) if (effect.type === 'status') facts = effect.facts;
  };
  const world = createWorld({
    seed: 3,
    symbols: [options.symbol],
    strategy: options.strategy ?? pulse,
    strategyConfig: options.config,
    latencies: STEADY_LATENCIES,
    ...(options.recording === undefined ? {} : { recording: options.recording }),
    env: { MAX_REPEATED_EXECUTIONS: '10000', MAX_ORDERS_PER_MINUTE: '10000' },
    watcher: {
      onHappening: (_what, monoMs) => {
        if (monoMs - tickedMs < 50) return;
        tickedMs = monoMs;
        feedIn({ type: 'tick' });
      },
      onMessage: (from, to, message) => {
        const { type } = message as { readonly type: string };
        if (from === 'market-data' && to === 'execution')
          feedIn({ type: 'message', from, message: message as MarketEvent });
        if (from === 'execution' && to === 'strategy' && type === 'order-updated')
          feedIn({ type: 'message', from, message: message as OrderUpdated });
      },
    },
  });
  world.start();
  world.run(options.forMs);
  return facts as TwinFacts;
};

describe('a twin beside the whole bot under virtual time', function () {
  this.timeout(60_000);

  it('finds no gap at all where the market is what the model says', () => {
    const { symbols, leftOut } = beside({
      config: { intervalMs: 400, offsetBps: 0, maxOpen: 2 },
      symbol: 'BTCTRY',
      forMs: 15_000,
    });
    expect(leftOut).to.deep.equal({});
    expect(symbols[0]?.orders).to.be.greaterThan(10);
    expect(symbols[0]?.fillRateLive).to.be.within(0.1, 0.9);
    expect(symbols[0]).to.deep.include({ fillRateGap: 0, priceGapBps: 0, profitGap: '0' });
  });

  it('finds next to none on a recording, also for orders that take', async () => {
    const market = await generatedMarket(8);
    market.remove();
    const { symbols } = beside({
      config: { intervalMs: 400, offsetBps: -1, maxOpen: 2 },
      symbol: 'BTCUSDT',
      forMs: 12_000,
      recording: market.recording,
    });
    expect(symbols[0]?.orders).to.be.greaterThan(10);
    expect(Math.abs(symbols[0]?.fillRateGap ?? 1)).to.be.lessThan(0.02);
    expect(Math.abs(symbols[0]?.priceGapBps ?? 1)).to.be.lessThan(0.05);
  });
});

describe('the twin’s actor', function () {
  this.timeout(60_000);
  afterEach(cleanUp);

  it('makes the orders of a paper run again beside it, and finds next to no gap', async () => {
    const bot = startBot({
      entry: REAL_BOT,
      env: {
        SAFE_MODE: 'false',
        KILL_SWITCH: 'false',
        DRY_RUN: 'false',
        STRATEGY: 'pulse',
        // So far across that both runs fill, whatever the machine does meanwhile.
        STRATEGY_CONFIG: '{"intervalMs":300,"offsetBps":-100}',
        MAX_REPEATED_EXECUTIONS: '10000',
        PAPER_TWIN: 'true',
      },
    });
    await bot.heard('twin-compared');
    let status = await bot.status();
    const gaps = () => (status.workers.twin?.facts as Partial<TwinFacts> | undefined)?.symbols?.[0];
    while (gaps() === undefined) status = await bot.status();
    expect(gaps()).to.deep.include({ symbol: 'BTCTRY', fillRateLive: 1, fillRatePaper: 1, fillRateGap: 0 });
    expect(Math.abs(gaps()?.priceGapBps ?? 1_000)).to.be.lessThan(100);
    expect(gaps()?.profitGap).to.match(/^-?[\d.]+$/);
    expect(statusText(status)).to.match(/twin on +orders +filled live/);
    bot.signal('SIGTERM');
    expect(await bot.exited).to.deep.equal({ code: 0, signal: null });
  });

  it('ends and says why when it cannot keep up', async () => {
    const control = new MessageChannel();
    const surface = new MessageChannel();
    const worker = new Worker(new URL('../../workers/twin.js', import.meta.url), {
      workerData: {
        boot: { actor: 'twin', incarnation: 1, settings: {} },
        ports: { control: control.port2, surface: surface.port2 },
      },
      transferList: [control.port2, surface.port2],
    });
    const market = new MessageChannel();
    const ended = once(worker, 'error');
    const message: ToWorker = {
      type: 'peer-connected',
      peer: 'market-data',
      incarnation: 1,
      port: market.port2,
    };
    control.port1.postMessage(message, [market.port2]);
    market.port1.postMessage(Array.from({ length: 6_000 }, () => print('100', '1')));
    const [error] = (await ended) as [Error];
    expect(error.message).to.equal(
      'it lags: messages of market-data were given up, and its figures would be wrong',
    );
    for (const port of [control.port1, surface.port1, market.port1]) port.close();
  });
});
