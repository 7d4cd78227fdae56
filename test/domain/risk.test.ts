import { expect } from 'chai';
import fc from 'fast-check';
import type { AccountUpdated } from '#src/domain/account-events.js';
import { type BookMemory, rememberBook } from '#src/domain/book-memory.js';
import type { BookView } from '#src/domain/book-view.js';
import { enlarging, openInterest, worstPosition } from '#src/domain/exposure.js';
import type { Instrument } from '#src/domain/instrument.js';
import { abs, formatDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import { DENIAL_CODES, type DenialCode, type PlaceOrder } from '#src/domain/order-events.js';
import { judge, type RiskInput, type RiskLimits } from '#src/domain/risk.js';
import type { ControlState } from '#src/domain/safety.js';
import { runs } from '../runs.js';
import { d, limitTerms } from './orders.js';

const NOW = { monoMs: 100_000, wallMs: 1_700_000_000_000 };

const instrument: Instrument = {
  symbol: 'BTCTRY',
  pairId: 1,
  base: 'BTC',
  quote: 'TRY',
  priceScale: 2,
  quantityScale: 4,
  minNotional: d('99.91'),
  minPrice: d('0.01'),
  maxPrice: d('10000'),
  minLimitPrice: d('10'),
  maxLimitPrice: d('1000'),
  maxQuantity: d('500'),
  methods: ['limit', 'market', 'stop-limit', 'stop-market'],
  status: 'TRADING',
};
const usdt: Instrument = { ...instrument, symbol: 'BTCUSDT', pairId: 2, quote: 'USDT' };
const instruments: ReadonlyMap<string, Instrument> = new Map([
  ['BTCTRY', instrument],
  ['BTCUSDT', usdt],
]);
const withEther = new Map([...instruments, ['ETHTRY', { ...instrument, symbol: 'ETHTRY' }]]);

const book = (bid: number, ask: number, over: Partial<BookView> = {}): BookView => ({
  symbol: 'BTCTRY',
  version: 50,
  trusted: true,
  receivedMonoMs: 99_900,
  levels: Float64Array.from([1, 1, bid * 100, 10_000, ask * 100, 10_000]),
  ...over,
});

const booksOf = (...views: BookView[]): Map<string, BookMemory> => {
  const books = new Map<string, BookMemory>();
  for (const view of views) rememberBook(books, view);
  return books;
};

const control = (over: Partial<ControlState> = {}): ControlState => ({
  type: 'control-state',
  epoch: 3,
  mode: 'paper',
  state: 'live',
  mayObserve: true,
  maySubmit: true,
  mayCancel: true,
  blockedSymbols: [],
  pull: 'none',
  holds: [],
  reasons: [],
  ...over,
});

const account = (over: Partial<AccountUpdated> = {}): AccountUpdated => ({
  type: 'account-updated',
  id: 'reconciliation:1:1',
  cause: 'reconciliation:1:0',
  balances: [
    { asset: 'TRY', total: d('100000'), free: d('100000'), locked: 0n },
    { asset: 'USDT', total: d('100000'), free: d('100000'), locked: 0n },
    { asset: 'BTC', total: d('1000'), free: d('1000'), locked: 0n },
  ],
  balancesAsOfMonoMs: 99_000,
  owned: new Map(),
  positions: [],
  tryRates: new Map([['USDT', d('40')]]),
  dayProfitTry: 0n,
  drawdownPct: 0,
  ...over,
});

const limits: RiskLimits = {
  maxOpenOrders: 5,
  maxOpenOrdersPerSymbol: 3,
  maxNotionalPerOrderTry: d('10000'),
  maxPositionNotionalTry: d('20000'),
  maxGrossExposureTry: d('30000'),
  maxDailyLossTry: d('500'),
  maxDrawdownPct: 5,
  priceCollarBps: 200,
  maxOrdersPerMinute: 10,
  maxRepeatedExecutions: 4,
};

const place = (terms: Partial<OrderTerms> = {}, over: Partial<PlaceOrder> = {}): PlaceOrder => ({
  type: 'place-order',
  id: 'strategy:1:1',
  cause: 'market-data:1:9',
  intentId: 'test:1:1',
  strategy: 'test',
  terms: limitTerms(terms),
  validUntilMonoMs: 100_500,
  bookVersion: 50,
  ...over,
});

const input = (over: Partial<RiskInput> = {}): RiskInput => ({
  intent: place(),
  now: NOW,
  control: control(),
  stopping: false,
  recovered: true,
  symbols: new Set(['BTCTRY', 'BTCUSDT']),
  instruments,
  books: booksOf(book(99.9, 100.1), book(99.9, 100.1, { symbol: 'BTCUSDT' })),
  maxMarketDataAgeMs: 5_000,
  limits,
  openOrders: [],
  unknownSymbols: new Set(),
  venueBlock: null,
  account: account(),
  positions: new Map(),
  reserved: new Map(),
  owned: new Map([
    ['TRY', d('100000')],
    ['USDT', d('100000')],
    ['BTC', d('1000')],
  ]),
  committed: new Map(),
  takerPpm: 2_400,
  cancelable: 5,
  trail: [],
  ordersLastMinute: 0,
  repeats: 0,
  ...over,
});

const bought = (symbol: string, averagePrice: string): AccountUpdated['positions'][number] => ({
  symbol,
  quantity: d('1'),
  averagePrice: d(averagePrice),
  realized: 0n,
  fees: 0n,
  taxes: 0n,
});

const open = (terms: Partial<OrderTerms>, remaining: string) => ({
  terms: limitTerms(terms),
  remaining: d(remaining),
});

const denialOf = (over: Partial<RiskInput>): string => {
  const verdict = judge(input(over));
  return verdict.approved ? 'approved' : verdict.denial.code;
};

interface Row {
  readonly code: DenialCode | 'approved';
  readonly when: string;
  readonly over: Partial<RiskInput>;
  /** All that a denial says; some of the facts of an approval. */
  readonly context?: Readonly<Record<string, string | number>>;
}

/** In order of precedence; at least one row for each code that the gate gives. */
const ROWS: readonly Row[] = [
  {
    code: 'writes-forbidden',
    when: 'before the first control state',
    over: { control: null },
    context: { state: 'none', reason: 'no control state yet' },
  },
  {
    code: 'writes-forbidden',
    when: 'while stopping',
    over: { stopping: true },
    context: { state: 'live', reason: 'stopping' },
  },
  {
    code: 'writes-forbidden',
    when: 'while the control state forbids it',
    over: { control: control({ maySubmit: false, state: 'cancel-only', reasons: ['hold stale-data'] }) },
    context: { state: 'cancel-only', reason: 'hold stale-data' },
  },
  {
    code: 'writes-forbidden',
    when: 'in a state that never submits, whatever its flag says',
    over: { control: control({ state: 'observe-only' }) },
    context: { state: 'observe-only', reason: '' },
  },
  {
    code: 'not-recovered',
    when: 'before ledger and venue were proven equal',
    over: { recovered: false },
    context: { state: 'live' },
  },
  {
    code: 'not-recovered',
    when: 'before the account is known',
    over: { account: null },
    context: { state: 'live' },
  },
  {
    code: 'symbol-not-allowed',
    when: 'on a symbol that is not on the list',
    over: { intent: place({ symbol: 'DOGETRY' }) },
    context: { symbol: 'DOGETRY' },
  },
  {
    code: 'instrument-unknown',
    when: 'without the instrument',
    over: { instruments: new Map() },
    context: { symbol: 'BTCTRY' },
  },
  ...['HALTED', 'not listed', ''].map(status => ({
    code: 'not-trading' as const,
    when: `for a pair that the exchange calls ${JSON.stringify(status)}`,
    over: { instruments: new Map([['BTCTRY', { ...instrument, status }]]) },
    context: { symbol: 'BTCTRY', status },
  })),
  {
    code: 'method-not-supported',
    when: 'by a method that the pair does not offer',
    over: { instruments: new Map([['BTCTRY', { ...instrument, methods: [] }]]) },
    context: { method: 'limit' },
  },
  {
    code: 'method-not-supported',
    when: 'for a stop order, which becomes a second venue order when triggered',
    over: { intent: place({ method: 'stop-limit', stopPrice: d('105') }) },
    context: { method: 'stop-limit' },
  },
  {
    code: 'intent-expired',
    when: 'when the decision is too old',
    over: { intent: place({}, { validUntilMonoMs: 99_990.5 }) },
    context: { lateMs: 9.5 },
  },
  {
    code: 'intent-expired',
    when: 'when the decision has no valid end',
    over: { intent: place({}, { validUntilMonoMs: Number.NaN }) },
    context: { lateMs: Number.NaN },
  },
  {
    code: 'symbol-blocked',
    when: 'on a held symbol',
    over: { control: control({ blockedSymbols: ['BTCTRY'] }) },
    context: { symbol: 'BTCTRY', by: 'hold' },
  },
  {
    code: 'symbol-blocked',
    when: 'while an outcome on the symbol is unknown',
    over: { unknownSymbols: new Set(['BTCTRY']) },
    context: { symbol: 'BTCTRY', by: 'unknown-outcome' },
  },
  {
    code: 'symbol-blocked',
    when: 'while the venue has closed the symbol',
    over: {
      venueBlock: {
        subject: 'BTCTRY',
        words: 'ORDER_INSERT_BLOCKED (2010)',
        sinceMs: 0,
        retryAtMonoMs: 160_000,
        trial: null,
      },
    },
    context: { symbol: 'BTCTRY', by: 'venue', words: 'ORDER_INSERT_BLOCKED (2010)', againInMs: 60_000 },
  },
  {
    code: 'book-missing',
    when: 'without a book',
    over: { books: new Map() },
    context: { symbol: 'BTCTRY' },
  },
  {
    code: 'book-untrusted',
    when: 'on a book that is not trusted',
    over: { books: booksOf(book(99.9, 100.1, { trusted: false })) },
    context: { bookVersion: 50, bid: '99.9', ask: '100.1' },
  },
  {
    code: 'book-untrusted',
    when: 'on a crossed book, even if it is called trusted',
    over: { books: booksOf(book(100.1, 100.1)) },
    context: { bookVersion: 50, bid: '100.1', ask: '100.1' },
  },
  {
    code: 'book-untrusted',
    when: 'on a one-sided book',
    over: { books: booksOf(book(0, 0, { levels: Float64Array.from([1, 0, 9_990, 10]) })) },
    context: { bookVersion: 50, bid: '99.9', ask: 'none' },
  },
  {
    code: 'book-untrusted',
    when: 'on a book without bids',
    over: { books: booksOf(book(0, 0, { levels: Float64Array.from([0, 1, 10_010, 10]) })) },
    context: { bookVersion: 50, bid: 'none', ask: '100.1' },
  },
  {
    code: 'book-stale',
    when: 'on an old book',
    over: { books: booksOf(book(99.9, 100.1, { receivedMonoMs: 94_999.9 })) },
    context: { ageMs: 5_000.1, limitMs: 5_000 },
  },
  {
    code: 'book-stale',
    when: 'for a decision made on an old book',
    over: {
      books: booksOf(
        book(99.9, 100.1, { version: 49, receivedMonoMs: 94_000 }),
        book(99.9, 100.1, { version: 50 }),
      ),
      intent: place({}, { bookVersion: 49 }),
    },
    context: { decidedOnVersion: 49, bookVersion: 50, limitMs: 5_000 },
  },
  {
    code: 'book-stale',
    when: 'for a decision made on a book that nobody remembers',
    over: { intent: place({}, { bookVersion: 7 }) },
    context: { decidedOnVersion: 7, bookVersion: 50, limitMs: 5_000 },
  },
  {
    code: 'book-stale',
    when: 'for a decision made in another run of market-data',
    over: { intent: place({}, { bookVersion: 5_000 }) },
    context: { decidedOnVersion: 5_000, bookVersion: 50, limitMs: 5_000 },
  },
  {
    code: 'precision',
    when: 'with too many price decimals',
    over: { intent: place({ price: d('100.001') }) },
    context: { field: 'price', value: '100.001', decimals: 2 },
  },
  {
    code: 'precision',
    when: 'with too many quantity decimals',
    over: { intent: place({ quantity: d('1.00001') }) },
    context: { field: 'quantity', value: '1.00001', decimals: 4 },
  },
  {
    code: 'precision',
    when: 'without a price',
    over: { intent: place({ price: null }) },
    context: { field: 'price', value: 'none' },
  },
  {
    code: 'precision',
    when: 'with a price of nothing',
    over: { intent: place({ price: 0n }) },
    context: { field: 'price', value: '0' },
  },
  {
    code: 'precision',
    when: 'with a quantity of nothing',
    over: { intent: place({ quantity: 0n }) },
    context: { field: 'quantity', value: '0' },
  },
  {
    code: 'precision',
    when: 'with a quantity below nothing',
    over: { intent: place({ quantity: d('-1') }) },
    context: { field: 'quantity', value: '-1' },
  },
  {
    code: 'precision',
    when: 'with a stop price',
    over: { intent: place({ stopPrice: d('1') }) },
    context: { field: 'stopPrice', value: '1' },
  },
  {
    code: 'precision',
    when: 'with a quote quantity on a limit order',
    over: { intent: place({ quoteQuantity: d('100') }) },
    context: { field: 'quoteQuantity', value: '100' },
  },
  ...[null, 0n, d('-1')].map(quoteQuantity => ({
    code: 'precision' as const,
    when: `for a market buy whose quote quantity is ${quoteQuantity}`,
    over: { intent: place({ method: 'market', price: null, quoteQuantity }) },
    context: { field: 'quoteQuantity', value: 'none' },
  })),
  {
    code: 'precision',
    when: 'for a market buy finer than the venue takes',
    over: { intent: place({ method: 'market', price: null, quoteQuantity: d('100.001') }) },
    context: { field: 'quoteQuantity', value: '100.001', decimals: 2 },
  },
  {
    code: 'precision',
    when: 'for a market buy finer than the prices of the pair',
    over: {
      intent: place({ method: 'market', price: null, quoteQuantity: d('1000.5') }),
      instruments: new Map([['BTCTRY', { ...instrument, priceScale: 0 }]]),
      books: booksOf(book(1, 1.01)),
    },
    context: { field: 'quoteQuantity', value: '1000.5', decimals: 0 },
  },
  {
    code: 'precision',
    when: 'for a market buy whose quantity is less than its quote may buy',
    over: {
      intent: place({ method: 'market', price: null, quantity: d('9.9'), quoteQuantity: d('1000') }),
    },
    context: { field: 'quantity', value: '9.9', bid: '99.9' },
  },
  {
    code: 'precision',
    when: 'for a market order with a price',
    over: { intent: place({ method: 'market', side: 'sell' }) },
    context: { field: 'price', value: '100' },
  },
  {
    code: 'price-outside-window',
    when: 'below the venue’s moving window',
    over: { intent: place({ price: d('9.99') }) },
    context: { price: '9.99', least: '10', greatest: '1000' },
  },
  {
    code: 'price-outside-window',
    when: 'above the venue’s fixed window',
    over: {
      intent: place({ price: d('10001') }),
      instruments: new Map([['BTCTRY', { ...instrument, maxLimitPrice: null }]]),
    },
    context: { price: '10001', least: '10', greatest: '10000' },
  },
  {
    code: 'price-outside-window',
    when: 'below the fixed window where that is the narrower',
    over: {
      intent: place({ price: d('99.99') }),
      instruments: new Map([['BTCTRY', { ...instrument, minPrice: d('100'), maxPrice: d('101') }]]),
    },
    context: { price: '99.99', least: '100', greatest: '101' },
  },
  {
    code: 'price-outside-collar',
    when: 'above the collar',
    over: { intent: place({ price: d('102.01') }) },
    context: { price: '102.01', mid: '100', distanceBps: 201, limitBps: 200 },
  },
  {
    code: 'price-outside-collar',
    when: 'below the collar',
    over: { intent: place({ side: 'sell', price: d('97.99') }) },
    context: { price: '97.99', mid: '100', distanceBps: -201, limitBps: 200 },
  },
  {
    code: 'price-outside-collar',
    when: 'without a collar',
    over: { limits: { ...limits, priceCollarBps: null } },
    context: { limitBps: 'unset' },
  },
  {
    code: 'price-outside-collar',
    when: 'for a market sell, which may go 5 % below the best bid',
    over: { intent: place({ method: 'market', side: 'sell', price: null }) },
    context: { price: '94.905', mid: '100', distanceBps: -509.5, limitBps: 200 },
  },
  {
    code: 'price-outside-collar',
    when: 'for a market buy, which may go 5 % above the best ask',
    over: {
      intent: place({ method: 'market', price: null, quantity: d('10.1'), quoteQuantity: d('1000') }),
    },
    context: { price: '105.105', mid: '100', distanceBps: 510.5, limitBps: 200 },
  },
  {
    code: 'price-drifted',
    when: 'when the market has walked away from where orders were sent',
    over: { trail: [{ at: 0, least: d('95'), greatest: d('95') }] },
    context: { mid: '100', least: '90.25', greatest: '99.75', limitBps: 500 },
  },
  {
    code: 'price-drifted',
    when: 'as far as the operator says',
    over: {
      limits: { ...limits, priceDriftBps: 50 },
      trail: [{ at: 0, least: d('101'), greatest: d('101') }],
    },
    context: { mid: '100', least: '100.495', greatest: '101.505', limitBps: 50 },
  },
  {
    code: 'below-min-notional',
    when: 'below the least value',
    over: { intent: place({ quantity: d('0.999') }) },
    context: { notional: '99.9', limit: '99.91' },
  },
  {
    code: 'quantity-exceeds-limit',
    when: 'above the greatest quantity',
    over: { intent: place({ quantity: d('500.0001') }) },
    context: { quantity: '500.0001', limit: '500' },
  },
  {
    code: 'notional-exceeds-limit',
    when: 'above the value of one order',
    over: { intent: place({ quantity: d('100.0001') }) },
    context: { notionalTry: '10000.01', limitTry: '10000' },
  },
  {
    code: 'notional-exceeds-limit',
    when: 'for a cheap sell, valued at the market',
    over: { intent: place({ side: 'sell', price: d('99'), quantity: d('100.5') }) },
    context: { notionalTry: '10050', limitTry: '10000' },
  },
  {
    code: 'notional-exceeds-limit',
    when: 'in another quote, converted',
    over: { intent: place({ symbol: 'BTCUSDT', quantity: d('2.6') }) },
    context: { notionalTry: '10400', limitTry: '10000' },
  },
  {
    code: 'notional-exceeds-limit',
    when: 'without a limit',
    over: { limits: { ...limits, maxNotionalPerOrderTry: null } },
    context: { notionalTry: 'any', limitTry: 'unset' },
  },
  {
    code: 'conversion-rate-missing',
    when: 'without a rate into lira',
    over: {
      intent: place({ symbol: 'BTCUSDT', quantity: d('2') }),
      account: account({ tryRates: new Map() }),
    },
    context: { asset: 'USDT' },
  },
  {
    code: 'conversion-rate-missing',
    when: 'without a rate for what another symbol has at stake',
    over: {
      account: account({ tryRates: new Map() }),
      openOrders: [open({ symbol: 'BTCUSDT' }, '1')],
    },
    context: { asset: 'USDT' },
  },
  {
    code: 'conversion-rate-missing',
    when: 'for a position in a pair that nobody describes',
    over: { positions: new Map([['ETHTRY', d('1')]]) },
    context: { asset: 'ETHTRY' },
  },
  {
    code: 'conversion-rate-missing',
    when: 'for a position that nothing prices',
    over: { positions: new Map([['ETHTRY', d('1')]]), instruments: withEther },
    context: { asset: 'ETHTRY' },
  },
  {
    code: 'conversion-rate-missing',
    when: 'for a market order in a pair that nothing prices',
    over: {
      openOrders: [open({ symbol: 'BTCUSDT', method: 'market', price: null }, '1')],
      books: booksOf(book(99.9, 100.1)),
    },
    context: { asset: 'BTCUSDT' },
  },
  {
    code: 'position-exceeds-limit',
    when: 'when the position with all open buys would be too large',
    over: {
      positions: new Map([['BTCTRY', d('150')]]),
      openOrders: [open({}, '45')],
      intent: place({ quantity: d('6') }),
    },
    context: { positionTry: '20100', limitTry: '20000', position: '150', openBuys: '45', openSells: '0' },
  },
  {
    code: 'position-exceeds-limit',
    when: 'when a sell would make too large a short',
    over: { positions: new Map([['BTCTRY', d('-195')]]), intent: place({ side: 'sell', quantity: d('6') }) },
    context: { positionTry: '20100', limitTry: '20000', position: '-195', openBuys: '0', openSells: '0' },
  },
  {
    code: 'position-exceeds-limit',
    when: 'without a limit',
    over: { limits: { ...limits, maxPositionNotionalTry: null } },
    context: { positionTry: '1000', limitTry: 'unset', position: '0', openBuys: '0', openSells: '0' },
  },
  {
    code: 'exposure-exceeds-limit',
    when: 'when everything open together would be too much',
    over: {
      positions: new Map([['BTCUSDT', d('5')]]),
      openOrders: [open({}, '95')],
      intent: place({ quantity: d('10') }),
    },
    // 5 at 100.1 USDT and 40 lira, and 105 at 100 lira.
    context: { exposureTry: '30520', limitTry: '30000' },
  },
  {
    code: 'exposure-exceeds-limit',
    when: 'with a position counted at its best bid where nobody offers, and at what it cost where there is no book',
    over: {
      positions: new Map([
        ['BTCUSDT', d('1')],
        ['ETHTRY', d('2')],
      ]),
      instruments: withEther,
      books: booksOf(
        book(99.9, 100.1),
        book(0, 0, { symbol: 'BTCUSDT', levels: Float64Array.from([1, 0, 9_980, 10]) }),
      ),
      account: account({
        positions: [bought('BTCTRY', '7'), bought('ETHTRY', '50')],
      }),
      limits: { ...limits, maxGrossExposureTry: d('5091.99') },
    },
    // 99.8 USDT at 40 lira, twice 50 lira, and the order.
    context: { exposureTry: '5092', limitTry: '5091.99' },
  },
  {
    code: 'exposure-exceeds-limit',
    when: 'with the dearest own order of the pair as the price of all of it',
    over: {
      openOrders: [
        open({ price: d('150') }, '1'),
        open({ price: d('99') }, '1'),
        open({ symbol: 'BTCUSDT', price: d('160') }, '1'),
        open({ symbol: 'BTCUSDT', price: d('99') }, '1'),
        open({ side: 'sell', method: 'market', price: null }, '1'),
      ],
      limits: { ...limits, maxGrossExposureTry: d('14749') },
    },
    // 13 at 150 lira, and 2 at 160 USDT and 40 lira.
    context: { exposureTry: '14750', limitTry: '14749' },
  },
  {
    code: 'exposure-exceeds-limit',
    when: 'without a limit',
    over: { limits: { ...limits, maxGrossExposureTry: null } },
    context: { exposureTry: '1000', limitTry: 'unset' },
  },
  {
    code: 'open-orders-exceed-limit',
    when: 'with too many open orders',
    over: { openOrders: Array.from({ length: 5 }, () => open({ symbol: 'BTCUSDT' }, '0.1')) },
    context: { open: 5, limit: 5, cancelable: 5 },
  },
  {
    code: 'open-orders-exceed-limit',
    when: 'with more than could be canceled in ten seconds',
    over: { openOrders: [open({}, '1')], cancelable: 1 },
    context: { open: 1, limit: 5, cancelable: 1 },
  },
  {
    code: 'open-orders-per-symbol-exceed-limit',
    when: 'with too many on one symbol',
    over: { openOrders: [open({}, '1'), open({}, '1'), open({}, '1')] },
    context: { open: 3, limit: 3 },
  },
  {
    code: 'orders-per-minute-exceed-limit',
    when: 'with too many in a minute',
    over: { ordersLastMinute: 10 },
    context: { lastMinute: 10, limit: 10 },
  },
  {
    code: 'orders-per-minute-exceed-limit',
    when: 'without a limit',
    over: { limits: { ...limits, maxOrdersPerMinute: null } },
    context: { lastMinute: 0, limit: 'unset' },
  },
  {
    code: 'repeated-execution',
    when: 'with too many of the same',
    over: { repeats: 4 },
    context: { repeats: 4, limit: 4 },
  },
  {
    code: 'repeated-execution',
    when: 'without a limit',
    over: { limits: { ...limits, maxRepeatedExecutions: null } },
    context: { repeats: 0, limit: 'unset' },
  },
  {
    code: 'loss-limit',
    when: 'when the day’s loss is reached',
    over: { account: account({ dayProfitTry: d('-500') }) },
    context: { dayProfitTry: '-500', limitTry: '500' },
  },
  {
    code: 'loss-limit',
    when: 'when the drawdown is reached',
    over: { account: account({ drawdownPct: 5 }) },
    context: { drawdownPct: 5, limitPct: 5 },
  },
  {
    code: 'loss-limit',
    when: 'when the day’s profit is not known',
    over: { account: account({ dayProfitTry: null }) },
    context: { dayProfitTry: 'unknown', limitTry: '500' },
  },
  {
    code: 'loss-limit',
    when: 'when the drawdown is not known',
    over: { account: account({ drawdownPct: null }) },
    context: { drawdownPct: 'unknown', limitPct: 5 },
  },
  {
    code: 'loss-limit',
    when: 'without a limit on the day’s loss, on a good day too',
    over: { limits: { ...limits, maxDailyLossTry: null }, account: account({ dayProfitTry: d('5') }) },
    context: { dayProfitTry: '5', limitTry: 'unset' },
  },
  {
    code: 'loss-limit',
    when: 'without a limit on the drawdown',
    over: { limits: { ...limits, maxDrawdownPct: null } },
    context: { drawdownPct: 0, limitPct: 'unset' },
  },
  {
    code: 'self-trade',
    when: 'against an own order that it would meet',
    over: { openOrders: [open({ side: 'sell', price: d('100') }, '1')] },
    context: { price: '100', against: '100' },
  },
  {
    code: 'self-trade',
    when: 'against an own market order',
    over: { openOrders: [open({ side: 'sell', method: 'market', price: null }, '1')] },
    context: { price: '100', against: 'market' },
  },
  {
    code: 'self-trade',
    when: 'by a market order against any own one',
    over: {
      intent: place({ method: 'market', side: 'sell', price: null }),
      limits: { ...limits, priceCollarBps: 520 },
      openOrders: [open({ price: d('90') }, '1')],
    },
    context: { price: 'market', against: '90' },
  },
  {
    code: 'insufficient-balance',
    when: 'without the quote, fee included',
    over: {
      account: account({
        balances: [{ asset: 'TRY', total: d('1002.39'), free: d('1002.39'), locked: 0n }],
      }),
    },
    context: {
      asset: 'TRY',
      needed: '1002.4',
      free: '1002.39',
      reserved: '0',
      owned: '100000',
      committed: '0',
    },
  },
  {
    code: 'insufficient-balance',
    when: 'when orders that the balances do not show yet need it',
    over: { reserved: new Map([['TRY', d('98997.61')]]) },
    context: {
      asset: 'TRY',
      needed: '1002.4',
      free: '100000',
      reserved: '98997.61',
      owned: '100000',
      committed: '0',
    },
  },
  {
    code: 'insufficient-balance',
    when: 'when open orders leave too little of what the books say we own, whatever the balances show as free',
    over: { committed: new Map([['TRY', d('98997.61')]]) },
    context: {
      asset: 'TRY',
      needed: '1002.4',
      free: '100000',
      reserved: '0',
      owned: '100000',
      committed: '98997.61',
    },
  },
  {
    code: 'insufficient-balance',
    when: 'when the books do not know of what the balances show',
    over: { owned: new Map() },
    context: { asset: 'TRY', needed: '1002.4', free: '100000', reserved: '0', owned: '0', committed: '0' },
  },
  {
    code: 'insufficient-balance',
    when: 'without the base to sell',
    over: { intent: place({ side: 'sell' }), account: account({ balances: [] }) },
    context: { asset: 'BTC', needed: '10', free: '0', reserved: '0', owned: '1000', committed: '0' },
  },
  {
    code: 'insufficient-balance',
    when: 'without enough of the base, however much there is of the quote',
    over: {
      intent: place({ side: 'sell' }),
      account: account({
        balances: [
          { asset: 'TRY', total: d('100000'), free: d('100000'), locked: 0n },
          { asset: 'BTC', total: d('9.9999'), free: d('9.9999'), locked: 0n },
        ],
      }),
    },
    context: { asset: 'BTC', needed: '10', free: '9.9999', reserved: '0', owned: '1000', committed: '0' },
  },
  { code: 'approved', when: 'with everything in order', over: {} },
  {
    code: 'approved',
    when: 'at every limit exactly',
    over: {
      intent: place({ price: d('102'), quantity: d('10') }, { validUntilMonoMs: 100_000 }),
      limits: {
        ...limits,
        maxOpenOrders: 3,
        maxNotionalPerOrderTry: d('1020'),
        maxPositionNotionalTry: d('1224'),
        maxGrossExposureTry: d('1224'),
        maxDailyLossTry: d('500.01'),
      },
      instruments: new Map([
        ['BTCTRY', { ...instrument, minNotional: d('1020'), maxLimitPrice: d('102'), maxQuantity: d('10') }],
      ]),
      openOrders: [open({}, '1'), open({}, '1')],
      cancelable: 3,
      account: account({ dayProfitTry: d('-500'), drawdownPct: 4.9 }),
      books: booksOf(book(99.9, 100.1, { receivedMonoMs: 95_000 })),
      ordersLastMinute: 9,
      repeats: 3,
      reserved: new Map([['TRY', d('98977.552')]]),
      committed: new Map([['TRY', d('98977.552')]]),
    },
  },
  {
    code: 'approved',
    when: 'at the least price, for a pair without a greatest quantity',
    over: {
      intent: place({ price: d('99') }),
      instruments: new Map([['BTCTRY', { ...instrument, minLimitPrice: d('99'), maxQuantity: null }]]),
    },
  },
  {
    code: 'approved',
    when: 'beside any number of orders on another symbol, and a position there that is closed',
    over: {
      positions: new Map([
        ['ETHTRY', 0n],
        ['BTCUSDT', 0n],
      ]),
      openOrders: Array.from({ length: 4 }, () => open({ symbol: 'BTCUSDT' }, '0.1')),
    },
  },
  {
    code: 'approved',
    when: 'beside an own order at a price that does not meet it',
    over: { openOrders: [open({ side: 'sell', price: d('100.01') }, '1')] },
  },
  {
    code: 'approved',
    when: 'for a market order inside a wide collar',
    over: {
      intent: place({ method: 'market', side: 'sell', price: null }),
      limits: { ...limits, priceCollarBps: 520 },
    },
  },
  {
    code: 'approved',
    when: 'for a market buy in quote inside a wide collar',
    over: {
      // As much as the quantity is worth at the best bid, to the last decimal.
      intent: place({ method: 'market', price: null, quantity: d('10.0025'), quoteQuantity: d('1000.25') }),
      books: booksOf(book(100, 100.2)),
      limits: { ...limits, priceCollarBps: 520 },
    },
  },
  {
    code: 'approved',
    when: 'for a decision on a book that is a moment ahead of the one known here',
    over: { intent: place({}, { bookVersion: 52 }) },
  },
  {
    code: 'approved',
    when: 'for a sell that makes a position smaller which is beyond its limits',
    over: {
      positions: new Map([['BTCTRY', d('900')]]),
      intent: place({ side: 'sell', quantity: d('50') }),
    },
  },
  {
    code: 'approved',
    when: 'for a sell that makes a position smaller while what is elsewhere has no rate',
    over: {
      positions: new Map([
        ['BTCTRY', d('50')],
        ['BTCUSDT', d('5')],
      ]),
      account: account({ tryRates: new Map() }),
      intent: place({ side: 'sell' }),
    },
    context: { exposureTry: '5000' },
  },
  {
    code: 'approved',
    when: 'for a buy that makes a short smaller which is beyond its limits',
    over: { positions: new Map([['BTCTRY', d('-900')]]), intent: place({ quantity: d('50') }) },
  },
];

describe('risk', () => {
  for (const row of ROWS)
    it(`${row.code === 'approved' ? 'approves' : `says ${row.code}`} ${row.when}`, () => {
      const verdict = judge(input(row.over));
      expect(verdict.approved ? 'approved' : verdict.denial.code).to.equal(row.code);
      if (verdict.approved) expect(verdict.approval.facts).to.include(row.context ?? {});
      else expect(verdict.denial.context).to.deep.equal(row.context);
    });

  it('has a row for every code that the gate gives, in order of precedence', () => {
    const elsewhere: readonly DenialCode[] = ['mailbox-full', 'journal-failed', 'fenced'];
    const codes = [...new Set(ROWS.map(row => row.code))].filter(code => code !== 'approved');
    expect(codes).to.deep.equal(DENIAL_CODES.filter(code => !elsewhere.includes(code)));
  });

  it('gives the first answer that applies: adding a later problem never changes it', () => {
    const denied = ROWS.filter(row => row.code !== 'approved' && !('intent' in row.over));
    const rank = (code: string): number => DENIAL_CODES.indexOf(code as DenialCode);
    for (const first of denied)
      for (const second of denied) {
        if (rank(first.code) >= rank(second.code)) continue;
        const both = { ...second.over, ...first.over };
        // Rows that turn the same knob cannot be combined.
        if (Object.keys(first.over).some(key => key in second.over)) continue;
        expect(rank(denialOf(both)), `${first.when} and ${second.when}`).to.be.at.most(rank(first.code));
      }
  });

  it('says on what it approved, for the audit', () => {
    const verdict = judge(
      input({
        intent: place({ price: d('100.5') }, { bookVersion: 49 }),
        books: booksOf(book(99.9, 100.1, { version: 49 }), book(99.9, 100.1, { receivedMonoMs: 99_900.04 })),
        positions: new Map([['BTCTRY', d('2')]]),
        openOrders: [open({}, '1')],
        reserved: new Map([['TRY', d('100.24')]]),
        ordersLastMinute: 7,
        repeats: 2,
      }),
    );
    expect(verdict).to.deep.equal({
      approved: true,
      approval: {
        epoch: 3,
        validUntilMonoMs: 100_500,
        mid: d('100'),
        facts: {
          bookVersion: 50,
          decidedOnVersion: 49,
          bookAgeMs: 100,
          bid: '99.9',
          ask: '100.1',
          distanceBps: 50,
          limitBps: 200,
          notionalTry: '1005',
          positionTry: '1306.5',
          exposureTry: '1306.5',
          open: 1,
          cancelable: 5,
          ordersLastMinute: 7,
          repeats: 2,
          needed: '1007.412',
          available: '99899.76',
        },
      },
    });
  });

  it('rounds what counts towards a limit up, to the last unit', () => {
    const fine: Instrument = { ...usdt, priceScale: 9, quantityScale: 9 };
    const fineBook = (symbol: string): BookView =>
      book(0, 0, { symbol, levels: Float64Array.from([1, 1, 99_900_000_001, 1, 100_100_000_001, 1]) });
    const facts = (over: Partial<RiskInput>): unknown => {
      const verdict = judge(input(over));
      return verdict.approved ? verdict.approval.facts : verdict.denial;
    };
    const given = {
      instruments: new Map([...instruments, ['BTCUSDT', fine]]),
      books: booksOf(book(99.9, 100.1), fineBook('BTCUSDT')),
      account: account({ tryRates: new Map([['USDT', d('1.0000000000000001')]]) }),
    };
    // 100.000000001 times 10.000000001 is 1000.000000110000000001.
    expect(facts({ ...given, intent: place({ symbol: 'BTCUSDT', quantity: d('10.000000001') }) })).to.include(
      {
        notionalTry: '1000.0000001100001002',
        positionTry: '1000.0000001100001002',
        exposureTry: '1000.0000001100001001',
      },
    );
    expect(facts({ ...given, openOrders: [open({ symbol: 'BTCUSDT' }, '0.001')] })).to.include({
      exposureTry: '1000.1001000000010001',
    });
  });

  it('lets an approval live no longer than the book it leans on', () => {
    const verdict = judge(input({ intent: place({}, { validUntilMonoMs: 900_000 }) }));
    expect(verdict.approved && verdict.approval.validUntilMonoMs).to.equal(104_900);
    expect(verdict.approved && verdict.approval.epoch).to.equal(3);
  });

  it('never sends a generated price outside the collar', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200_00 }),
        fc.integer({ min: 90_00, max: 110_00 }),
        fc.integer({ min: 1, max: 300 }),
        fc.constantFrom('buy' as const, 'sell' as const),
        (cents, bidCents, spread, side) => {
          const verdict = judge(
            input({
              intent: place({ side, price: BigInt(cents) * 10n ** 14n }),
              books: booksOf(book(bidCents / 100, (bidCents + spread) / 100)),
            }),
          );
          const mid = bidCents + spread / 2;
          if (verdict.approved) expect(Math.abs(cents - mid) / mid).to.be.at.most(0.02 + 1e-12);
        },
      ),
      { numRuns: runs(2_000, 200_000) },
    );
  });
});

describe('exposure', () => {
  const orders = fc.array(
    fc.record({
      side: fc.constantFrom('buy' as const, 'sell' as const),
      remaining: fc.bigInt({ min: 0n, max: 1_000n }),
      share: fc.bigInt({ min: 0n, max: 1_000n }),
    }),
    { maxLength: 8 },
  );

  it('covers every outcome of the open orders', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -2_000n, max: 2_000n }), orders, (position, given) => {
        const interest = openInterest(
          given.map(({ side, remaining }) => ({ terms: limitTerms({ side }), remaining })),
          'BTCTRY',
        );
        // Any part of any order may execute.
        let outcome = position;
        for (const { side, remaining, share } of given) {
          const executed = (remaining * share) / 1_000n;
          outcome += side === 'buy' ? executed : -executed;
        }
        expect(abs(position) + enlarging(position, interest) >= abs(outcome)).to.equal(true);
        const worst = outcome >= 0n ? 'buy' : 'sell';
        expect(worstPosition(position, interest, worst) >= abs(outcome), formatDecimal(outcome)).to.equal(
          true,
        );
      }),
      { numRuns: runs(1_000) },
    );
  });

  it('is not enlarged by closing what is open', () => {
    expect(enlarging(d('5'), { buys: 0n, sells: d('5') })).to.equal(0n);
    expect(enlarging(d('5'), { buys: 0n, sells: d('7') })).to.equal(d('2'));
    expect(enlarging(d('-5'), { buys: d('6'), sells: d('1') })).to.equal(d('2'));
  });
});
