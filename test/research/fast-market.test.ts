import { expect } from 'chai';
import fc from 'fast-check';
import type { Side } from '#src/domain/instrument.js';
import { formatDecimal, fromInteger, parseDecimal } from '#src/domain/money.js';
import { listingForMarket } from '#src/exchange/instruments.js';
import { initialVenue, stepVenue } from '#src/exchange/venue.js';
import type { MarketActivity, VenueState } from '#src/exchange/venue-state.js';
import { FastMarket, type FastOrder, type FillModel } from '#src/research/fast-market.js';
import { createTapeBuilder, instrumentOf, type MarketTape } from '#src/research/tape.js';

const SYMBOL = 'BTCUSDT';
const LISTING = (() => {
  const found = listingForMarket(SYMBOL, [parseDecimal('100.01')], [parseDecimal('0.0001')]);
  if (found === undefined) throw new Error('no listing');
  return found;
})();
const INSTRUMENT = instrumentOf(LISTING);
const KEY = '11111111-2222-3333-4444-555555555555';

/** What may happen in a market with us: frames, trades, and our own orders coming and going. */
type Happening =
  | { readonly type: 'book'; readonly bids: readonly Change[]; readonly asks: readonly Change[] }
  | { readonly type: 'trade'; readonly side: Side; readonly cents: number; readonly lots: number }
  | { readonly type: 'order'; readonly side: Side; readonly cents: number; readonly lots: number }
  | { readonly type: 'cancel'; readonly which: number };
type Change = readonly [cents: number, lots: number];

const MIDDLE = 10_000;
const price = (cents: number): string => (cents / 100).toFixed(2);
const amount = (lots: number): string =>
  formatDecimal(BigInt(lots) * 10n ** BigInt(16 - INSTRUMENT.quantityScale));
const change = (from: number, to: number): fc.Arbitrary<Change> =>
  fc.tuple(
    fc.integer({ min: from, max: to }),
    fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60_000_000 })),
  );
const sideOf = fc.constantFrom<Side>('buy', 'sell');
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({
    type: fc.constant('book' as const),
    bids: fc.array(change(MIDDLE - 6, MIDDLE - 1), { maxLength: 4 }),
    asks: fc.array(change(MIDDLE + 1, MIDDLE + 6), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('trade' as const),
    side: sideOf,
    cents: fc.integer({ min: MIDDLE - 6, max: MIDDLE + 6 }),
    lots: fc.integer({ min: 1, max: 90_000_000 }),
  }),
  fc.record({
    type: fc.constant('order' as const),
    side: sideOf,
    cents: fc.integer({ min: MIDDLE - 6, max: MIDDLE + 6 }),
    lots: fc.integer({ min: 11_000_000, max: 60_000_000 }),
  }),
  fc.record({ type: fc.constant('cancel' as const), which: fc.nat(5) }),
);

/** The first book: both sides of the ladder, so that every price has somebody. */
const OPENING: Happening = {
  type: 'book',
  bids: [1, 2, 3, 4, 5, 6].map(step => [MIDDLE - step, 10_000_000 * step] as const),
  asks: [1, 2, 3, 4, 5, 6].map(step => [MIDDLE + step, 10_000_000 * step] as const),
};

/** Each price once, best bid or lowest ask first, as frames have them. */
const unique = (changes: readonly Change[], sign: 1 | -1): readonly Change[] =>
  [...new Map(changes)].sort(([left], [right]) => sign * (left - right));

const frameOf = (
  event: Extract<Happening, { readonly type: 'book' | 'trade' }>,
  changeSet: number,
  whole: boolean,
): unknown => {
  if (event.type === 'trade')
    return [
      422,
      {
        D: '1',
        I: String(changeSet),
        A: amount(event.lots),
        P: price(event.cents),
        S: event.side === 'buy' ? 0 : 1,
        channel: 'trade',
        event: SYMBOL,
      },
    ];
  const levels = (changes: readonly Change[], sign: 1 | -1): unknown[] =>
    unique(changes, sign).flatMap(([cents, lots]) =>
      whole
        ? [{ P: price(cents), A: amount(lots) }]
        : [{ CP: lots === 0 ? 3 : 0, P: price(cents), A: amount(lots) }],
    );
  return [
    whole ? 431 : 432,
    {
      CS: changeSet,
      AO: levels(event.asks, 1),
      BO: levels(event.bids, -1),
      channel: 'obdiff',
      event: SYMBOL,
    },
  ];
};

const activityOf = (
  event: Extract<Happening, { readonly type: 'book' | 'trade' }>,
  whole: boolean,
): MarketActivity =>
  event.type === 'trade'
    ? {
        type: 'trade',
        tradeId: '1',
        price: parseDecimal(price(event.cents)),
        quantity: parseDecimal(amount(event.lots)),
        side: event.side,
      }
    : {
        type: 'book',
        whole,
        bids: unique(event.bids, -1).map(([cents, lots]) => ({
          price: parseDecimal(price(cents)),
          total: parseDecimal(amount(lots)),
        })),
        asks: unique(event.asks, 1).map(([cents, lots]) => ({
          price: parseDecimal(price(cents)),
          total: parseDecimal(amount(lots)),
        })),
      };

/** An order that would meet one of ours is left out: the gate denies it. */
const meets = (
  open: readonly { readonly side: Side; readonly cents: number }[],
  side: Side,
  cents: number,
): boolean =>
  open.some(each => each.side !== side && (side === 'buy' ? each.cents <= cents : each.cents >= cents));

interface Outcome {
  readonly fills: readonly string[];
  readonly left: readonly string[];
  readonly shown: readonly (readonly string[])[];
}

const fillLine = (order: number, priceOf: bigint, quantity: bigint, liquidity: string): string =>
  `${order} ${formatDecimal(priceOf)} ${formatDecimal(quantity)} ${liquidity}`;

const inFastMarket = (events: readonly Happening[], model: FillModel): Outcome => {
  const builder = createTapeBuilder([LISTING]);
  let frames = 0;
  for (const event of events)
    if (event.type === 'book' || event.type === 'trade')
      builder.frame(frameOf(event, ++frames, frames === 1), frames);
  const tape: MarketTape = builder.finish();
  const fills: string[] = [];
  const shown: string[][] = [];
  const market = new FastMarket<number>(INSTRUMENT, model, (order, at, quantity, liquidity) =>
    fills.push(fillLine(order.ref, at, quantity, liquidity)),
  );
  const orders = new Map<number, FastOrder<number> & { readonly cents: number }>();
  let placed = 0;
  let next = 0;
  for (const event of events) {
    if (event.type === 'book' || event.type === 'trade') market.event(tape, next++);
    else if (event.type === 'cancel') {
      const order = orders.get(event.which);
      if (order !== undefined && order.remaining > 0n) market.withdraw(order);
      orders.delete(event.which);
    } else {
      const open = [...orders.values()].filter(order => order.remaining > 0n);
      const number = placed++;
      if (meets(open, event.side, event.cents)) continue;
      const order = {
        side: event.side,
        price: parseDecimal(price(event.cents)),
        ticks: event.cents,
        cents: event.cents,
        remaining: parseDecimal(amount(event.lots)),
        ref: number,
      };
      orders.set(number, order);
      market.enter(order);
    }
    const levels = [...market.show().levels];
    shown.push(levels.map(String));
  }
  return {
    fills,
    left: [...orders].map(([number, { remaining }]) => `${number} ${formatDecimal(remaining)}`),
    shown,
  };
};

const inVenue = (events: readonly Happening[]): Outcome => {
  let state: VenueState = initialVenue({
    seed: 1,
    listings: [LISTING],
    sources: new Map([[SYMBOL, 'recorded']]),
    authentication: 'skip',
    keepalive: 'off',
    latency: { replyMs: 0, submitMs: 0, cancelMs: 0, userTradeMs: 0 },
    bookIntervalMs: 0,
    accounts: [],
    prices: new Map(),
    history: false,
    faults: [],
  });
  let nowMs = 1_000;
  const step = (input: Parameters<typeof stepVenue>[1]): unknown => {
    nowMs += 1;
    const stepped = stepVenue(state, input, { monoMs: nowMs, wallMs: 1_700_000_000_000 + nowMs });
    state = stepped.state;
    return stepped.effects.find(effect => effect.type === 'reply');
  };
  step({
    type: 'admin',
    command: {
      type: 'open-account',
      apiKey: KEY,
      apiSecret: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
      feeLevel: 1,
      balances: new Map([
        ['BTC', fromInteger(1_000_000)],
        ['USDT', fromInteger(1_000_000_000)],
      ]),
    },
  });
  const account = () => state.accounts.get(KEY)!;
  const orders = new Map<number, { readonly id: number; readonly side: Side; readonly cents: number }>();
  const shown: string[][] = [];
  let frames = 0;
  let placed = 0;
  const remainingOf = (id: number): bigint => account().orders.get(id)?.remaining ?? 0n;
  const isOpen = (id: number): boolean => account().open.has(id);
  for (const event of events) {
    if (event.type === 'book' || event.type === 'trade') {
      frames += 1;
      step({ type: 'market', symbol: SYMBOL, activity: activityOf(event, frames === 1) });
    } else if (event.type === 'cancel') {
      const order = orders.get(event.which);
      if (order !== undefined && isOpen(order.id))
        step({
          type: 'http',
          requestId: 'c',
          method: 'DELETE',
          path: '/api/v1/order',
          query: `id=${order.id}`,
          headers: {},
          body: '',
          ip: '127.0.0.1',
        });
      orders.delete(event.which);
      step({ type: 'tick' });
    } else {
      const number = placed++;
      const open = [...orders.values()].filter(({ id }) => isOpen(id));
      if (meets(open, event.side, event.cents)) continue;
      const before = new Set(account().orders.keys());
      step({
        type: 'http',
        requestId: 'o',
        method: 'POST',
        path: '/api/v1/order',
        query: '',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          quantity: amount(event.lots),
          price: price(event.cents),
          newOrderClientId: `o${number}`,
          orderMethod: 'limit',
          orderType: event.side,
          pairSymbol: SYMBOL,
        }),
        ip: '127.0.0.1',
      });
      step({ type: 'tick' });
      const id = [...account().orders.keys()].find(each => !before.has(each));
      if (id !== undefined) orders.set(number, { id, side: event.side, cents: event.cents });
    }
    const market = state.markets.get(SYMBOL)!;
    const side = (levels: typeof market.book.bids): string[] =>
      levels
        .toReversed()
        .flatMap(level => [
          String(Number(level.price / 10n ** 14n)),
          String(Number(level.total / 10n ** BigInt(16 - INSTRUMENT.quantityScale))),
        ])
        .slice(0, 200);
    const bids = side(market.book.bids);
    const asks = side(market.book.asks);
    shown.push([String(bids.length / 2), String(asks.length / 2), ...bids, ...asks]);
  }
  const numbers = new Map<number, number>();
  for (const order of account().orders.values())
    numbers.set(order.orderId, Number(order.clientOrderId.slice(1)));
  return {
    fills: account().trades.map(trade =>
      fillLine(numbers.get(trade.order.orderId) ?? -1, trade.price, trade.quantity, trade.liquidity),
    ),
    left: [...orders].map(([number, { id }]) => `${number} ${formatDecimal(remainingOf(id))}`),
    shown,
  };
};

const RUNS = Number(process.env.BTCBOT_RUNS ?? 200);

describe('the fast market', function () {
  this.timeout(60_000);

  it('fills and shows what the embedded exchange would, to the last digit, under the queue model', () => {
    fc.assert(
      fc.property(fc.array(happening, { minLength: 1, maxLength: 24 }), events => {
        const all = [OPENING, ...events];
        expect(inFastMarket(all, 'queue')).to.deep.equal(inVenue(all));
      }),
      { numRuns: RUNS },
    );
  });

  it('fills orders that stay no less the more hopeful the model is', () => {
    const total = (outcome: Outcome): bigint =>
      outcome.fills.reduce((sum, line) => sum + parseDecimal(line.split(' ')[2] ?? '0'), 0n);
    fc.assert(
      fc.property(fc.array(happening, { minLength: 1, maxLength: 24 }), events => {
        // One order alone, at the start: nothing that follows depends on its fills.
        const alone = [
          OPENING,
          { type: 'order', side: 'buy', cents: MIDDLE - 1, lots: 30_000_000 } as const,
          ...events.filter(event => event.type === 'book' || event.type === 'trade'),
        ];
        const [touch, queue, through] = (['touch', 'queue', 'through'] as const).map(model =>
          total(inFastMarket(alone, model)),
        );
        expect(touch! >= queue!).to.equal(true);
        expect(queue! >= through!).to.equal(true);
      }),
      { numRuns: RUNS },
    );
  });
});
