import { expect } from 'chai';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import type { OrderUpdated, PlaceOrder } from '#src/domain/order-events.js';
import type { StrategyHostEffect } from '#src/domain/strategy-host.js';
import { CANARY_DONE, CANARY_STOPPED, canary } from '#src/strategies/canary.js';
import {
  account,
  BTCTRY,
  bookEvent,
  bookOf,
  canceled,
  control,
  denied,
  hostOf,
  listed,
  places,
  type TestHost,
  updated,
  working,
} from './fixtures.js';

const book = bookOf(BTCTRY, [['3749000', '0.5']], [['3751000', '0.5']]);

const begin = (
  balances: Readonly<Record<string, string>> = { TRY: '100000', BTC: '1' },
  given = {},
): TestHost => {
  const host = hostOf(canary, { given, maxOpenOrders: 1, maxOpenOrdersPerSymbol: 1 });
  host.step(control(), listed(BTCTRY), account(balances));
  host.step(bookEvent(book));
  return host;
};

/** Time passes until the next order is asked for. */
const next = (host: TestHost): PlaceOrder => {
  for (let waited = 0; waited < 3_000; waited += 100) {
    const [place] = places(host.after(100));
    if (place !== undefined) return place;
  }
  throw new Error('no further order');
};
const filled = (place: PlaceOrder, quantity = place.terms.quantity): OrderUpdated =>
  updated(place, { status: 'filled', venueOrderId: '1', filled: quantity });
const notesIn = (effects: readonly StrategyHostEffect[]): string[] =>
  effects.flatMap(effect =>
    effect.type === 'log' && effect.event === 'strategy-note' ? [String(effect.fields.text)] : [],
  );
/** What it says while nothing further is to be sent. */
const lastWords = (host: TestHost, ...effects: readonly StrategyHostEffect[]): string[] => {
  const words = notesIn(effects);
  for (let waited = 0; waited < 5_000; waited += 100) {
    host.now = { monoMs: host.now.monoMs + 100, wallMs: host.now.wallMs + 100 };
    const ticked = host.step({ type: 'tick' });
    expect(ticked.some(effect => effect.type === 'tell' && effect.message.type === 'place-order')).to.equal(
      false,
    );
    words.push(...notesIn(ticked));
  }
  return words;
};
const shape = ({ terms }: PlaceOrder): string => `${terms.side} ${formatDecimal(terms.price ?? 0n)}`;

/** Lets a resting order rest and end. */
const restAndEnd = (host: TestHost): string => {
  const place = next(host);
  const told = host.told(working(place));
  expect(told.map(message => message.type)).to.deep.equal(['cancel-order']);
  host.step(canceled(place));
  return shape(place);
};

describe('the canary strategy', () => {
  it('rests and cancels on both sides, buys across the touch, and sells exactly what it bought', () => {
    const host = begin();
    expect([restAndEnd(host), restAndEnd(host)]).to.deep.equal(['buy 3711510', 'sell 3788510']);
    const buy = next(host);
    expect(shape(buy)).to.equal('buy 3758502');
    expect(host.told(working(buy))).to.deep.equal([]);
    host.step(filled(buy));
    const sell = next(host);
    expect(shape(sell)).to.equal('sell 3741502');
    expect(sell.terms.quantity).to.equal(buy.terms.quantity);
    host.step(filled(sell));
    expect(lastWords(host)).to.deep.equal([CANARY_DONE]);
  });

  it('never asks for a second order while one is open, and for none while it may not', () => {
    const host = begin();
    const place = next(host);
    for (let waited = 0; waited < 19_000; waited += 100) expect(places(host.after(100))).to.deep.equal([]);
    host.step(working(place));
    host.step(canceled(place));
    host.step(control({ maySubmit: false, state: 'cancel-only' }));
    for (let waited = 0; waited < 10_000; waited += 100) expect(places(host.after(100))).to.deep.equal([]);
  });

  it('makes each order a little more than the least the venue takes', () => {
    const value = notional(next(begin()).terms.price ?? 0n, next(begin()).terms.quantity);
    expect(value >= BTCTRY.minNotional).to.equal(true);
    expect(value <= parseDecimal('150')).to.equal(true);
  });

  it('leaves the sell order out where there is no coin, and the fill where none is wanted', () => {
    const host = begin({ TRY: '100000', BTC: '0' }, { fill: false });
    expect(restAndEnd(host)).to.equal('buy 3711510');
    expect(lastWords(host)).to.deep.equal([
      'canary: no BTC to rest a sell order with: left out',
      CANARY_DONE,
    ]);
  });

  it('sells what a resting order bought against all expectation, instead of buying more', () => {
    const host = begin();
    const place = next(host);
    host.step(working(place));
    host.step(filled(place));
    restAndEnd(host);
    const sell = next(host);
    expect(sell.terms).to.include({ side: 'sell', quantity: place.terms.quantity });
    host.step(filled(sell));
    expect(lastWords(host)).to.deep.equal([CANARY_DONE]);
  });

  it('cancels a crossing order that does not fill, sells the part that did, and says what it cannot sell', () => {
    const host = begin();
    restAndEnd(host);
    restAndEnd(host);
    const buy = next(host);
    host.step(working(buy));
    let asked: string[] = [];
    for (let waited = 0; waited < 4_000 && asked.length === 0; waited += 100)
      asked = host.after(100).map(message => message.type);
    expect(asked).to.deep.equal(['cancel-order']);
    const tiny = parseDecimal('0.00000001');
    const words = lastWords(host, ...host.step(canceled(buy, tiny)));
    expect(words).to.have.length(1);
    expect(words[0]).to.equal(
      `${CANARY_STOPPED}: what is left cannot be traded away; 0.00000001 is held more than before`,
    );
  });

  it('lets the end of an earlier order that is told again change nothing about the one under way', () => {
    const host = begin();
    const first = next(host);
    host.step(working(first));
    host.step(canceled(first));
    const second = next(host);
    host.step(canceled(first), updated(first, { status: 'rejected', reason: 'told late' }));
    expect(host.told(working(second)).map(message => message.type)).to.deep.equal(['cancel-order']);
    host.step(canceled(first));
    for (let waited = 0; waited < 3_000; waited += 100) expect(places(host.after(100))).to.deep.equal([]);
    host.step(canceled(second));
    expect(shape(next(host))).to.equal('buy 3758502');
  });

  it('counts what an order is shown to have filled after its end, once', () => {
    const host = begin();
    const first = next(host);
    host.step(working(first));
    host.step(canceled(first));
    const second = next(host);
    host.step(working(second));
    const late = canceled(first, first.terms.quantity);
    host.step(late, late, late);
    host.step(canceled(second));
    const sale = next(host);
    expect(sale.terms).to.include({ side: 'sell', quantity: first.terms.quantity });
    expect(shape(sale)).to.equal('sell 3741502');
    host.step(filled(sale));
    expect(lastWords(host)).to.deep.equal([CANARY_DONE]);
  });

  it('says so when an order is shown to have filled after it was done', () => {
    const host = begin({ TRY: '100000', BTC: '0' }, { fill: false });
    const place = next(host);
    host.step(working(place));
    host.step(canceled(place));
    expect(lastWords(host)).to.include(CANARY_DONE);
    expect(lastWords(host, ...host.step(canceled(place, place.terms.quantity)))).to.deep.equal([
      `${CANARY_STOPPED}: an order filled after the end; ${formatDecimal(place.terms.quantity)} is held more than before`,
    ]);
  });

  it('takes no order of an earlier run for its own', () => {
    const host = begin();
    const place = next(host);
    const stranger = { ...place, intentId: `${place.intentId}0` };
    host.step(updated(stranger, { status: 'filled', venueOrderId: '9', filled: place.terms.quantity }));
    host.step(working(place));
    host.step(canceled(place));
    expect(shape(next(host))).to.equal('sell 3788510');
  });

  for (const [words, end] of [
    ['denied', (place: PlaceOrder) => denied(place)],
    ['rejected', (place: PlaceOrder) => updated(place, { status: 'rejected', reason: 'no' })],
    ['expired', (place: PlaceOrder) => updated(place, { status: 'expired', venueOrderId: '1', filled: 0n })],
  ] as const)
    it(`stops for good when an order is ${words}`, () => {
      const host = begin();
      const said = lastWords(host, ...host.step(end(next(host))));
      expect(said).to.have.length(1);
      expect(said[0]).to.satisfy((text: string) => text.startsWith(CANARY_STOPPED));
    });

  it('stops for good when an order does not end', () => {
    const host = begin();
    host.step(working(next(host)));
    const said: string[] = [];
    for (let waited = 0; waited < 25_000; waited += 1_000) {
      host.now = { monoMs: host.now.monoMs + 1_000, wallMs: host.now.wallMs + 1_000 };
      said.push(...notesIn(host.step({ type: 'tick' })));
    }
    expect(said).to.deep.equal([`${CANARY_STOPPED}: an order does not end`]);
  });

  it('stops where there is no money for one order', () => {
    expect(lastWords(begin({ TRY: '10', BTC: '0' }))).to.deep.equal([
      `${CANARY_STOPPED}: there is not enough TRY for one order`,
    ]);
  });
});
