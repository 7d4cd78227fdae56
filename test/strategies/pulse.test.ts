import { expect } from 'chai';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import type { CancelOrder, PlaceOrder } from '#src/domain/order-events.js';
import { observe } from '#src/strategies/observe.js';
import { pulse } from '#src/strategies/pulse.js';
import {
  account,
  BTCTRY,
  BTCUSDT,
  bookEvent,
  bookOf,
  canceled,
  cancels,
  control,
  type HostOptions,
  hostOf,
  listed,
  places,
  type TestHost,
  working,
} from './fixtures.js';

const book = bookOf(BTCTRY, [['3749000', '0.5']], [['3751000', '0.5']]);

const begin = (options: HostOptions = {}): TestHost => {
  const host = hostOf(pulse, options);
  host.step(control(), listed(BTCTRY, BTCUSDT), account({ TRY: '100000', USDT: '1000', BTC: '1' }));
  host.step(bookEvent(book));
  return host;
};

const shape = (messages: readonly (PlaceOrder | CancelOrder)[]) =>
  messages.map(message =>
    message.type === 'place-order'
      ? `${message.terms.side} ${formatDecimal(message.terms.price ?? 0n)}`
      : `cancel ${message.intentId.split(':').at(-1)}`,
  );

/** Ticks until the next beat and confirms what was placed. */
const beat = (host: TestHost, ms = 1_000): string[] => {
  const told = host.after(ms);
  for (const place of places(told)) host.step(working(place));
  return shape(told);
};

describe('pulse', () => {
  it('submits one order a beat, alternating sides, and cancels its oldest when more than maxOpen rest', () => {
    const host = begin();
    const orders: PlaceOrder[] = [];
    const story: string[][] = [];
    for (let count = 0; count < 4; count++) {
      const told = host.after(1_000);
      orders.push(...places(told));
      for (const place of places(told)) host.step(working(place));
      story.push(shape(told));
      const oldest = orders[count - 1];
      if (oldest !== undefined) host.step(canceled(oldest));
    }
    expect(story).to.deep.equal([
      ['buy 3745251'],
      ['sell 3754752', 'cancel 1'],
      ['buy 3745249', 'cancel 2'],
      ['sell 3754751', 'cancel 3'],
    ]);
  });

  it('lets maxOpen orders rest', () => {
    const host = begin({ given: { maxOpen: 3 }, maxOpenOrdersPerSymbol: 4 });
    const story = [1, 2, 3, 4].map(() => beat(host).length);
    expect(story).to.deep.equal([1, 1, 1, 2]);
  });

  it('with room for one order cancels it at one beat and submits at the next', () => {
    const host = begin({ maxOpenOrdersPerSymbol: 1 });
    const [first] = places(host.after(1_000)) as [PlaceOrder];
    host.step(working(first));
    expect(beat(host)).to.deep.equal(['cancel 1']);
    host.step(canceled(first));
    expect(beat(host)).to.deep.equal(['sell 3754752']);
  });

  it('does not bring the same order at every beat, even in a market that stands still', () => {
    const host = begin({ given: { maxOpen: 100 }, maxOpenOrders: 50, maxOpenOrdersPerSymbol: 50 });
    const orders = Array.from({ length: 12 }, () => beat(host)[0]);
    expect(new Set(orders).size).to.equal(6);
  });

  it('crosses the market with a negative offset', () => {
    expect(beat(begin({ given: { offsetBps: -20 } }))).to.deep.equal(['buy 3756498']);
  });

  it('submits the value it was told', () => {
    const [place] = places(begin({ given: { notional: '500' } }).after(1_000)) as [PlaceOrder];
    const worth = Number(formatDecimal(notional(place.terms.price ?? 0n, place.terms.quantity)));
    expect(worth).to.be.closeTo(500, 0.04);
  });

  it('takes the other side when the account cannot pay for this one, and none when for neither', () => {
    const host = begin();
    host.step(account({ TRY: '10', BTC: '1' }));
    expect(beat(host)).to.deep.equal(['sell 3754751']);
    host.step(account({ TRY: '10', BTC: '0' }));
    expect(places(host.after(1_000))).to.deep.equal([]);
  });

  it('is silent on a book that cannot be believed and while it may not submit', () => {
    const host = begin();
    host.step(bookEvent({ ...book, trusted: false }));
    expect(beat(host)).to.deep.equal([]);
    host.step(bookEvent(book), control({ maySubmit: false }));
    expect(beat(host)).to.deep.equal([]);
  });

  it('takes turns between symbols', () => {
    const host = begin({ symbols: ['BTCTRY', 'BTCUSDT'], given: { notional: '150' } });
    host.step(bookEvent(bookOf(BTCUSDT, [['61850', '1']], [['61850.01', '1']])));
    const symbols = [1, 2, 3, 4].flatMap(() => {
      const told = host.after(1_000);
      for (const place of places(told)) host.step(working(place));
      return places(told).map(place => place.terms.symbol);
    });
    expect(symbols).to.deep.equal(['BTCTRY', 'BTCUSDT', 'BTCTRY', 'BTCUSDT']);
  });

  it('asks for no order that those which rest have left no money for, and takes the oldest out instead', () => {
    const host = begin({ given: { maxOpen: 5 } });
    host.step(account({ TRY: '300', BTC: '0' }));
    const [bid] = places(host.after(1_000)) as [PlaceOrder];
    host.step(working(bid));
    const told = host.after(1_000);
    expect(places(told)).to.deep.equal([]);
    expect(cancels(told).map(({ intentId }) => intentId)).to.deep.equal([bid.intentId]);
  });

  it('asks for no order that would trade with its own', () => {
    const host = begin({ given: { offsetBps: -3, maxOpen: 2 } });
    const [bid] = places(host.after(1_000)) as [PlaceOrder];
    host.step(working(bid));
    expect(shape(host.after(1_000)).join(), 'a sale at 3749875 would meet the purchase at 3750124').to.match(
      /^buy/,
    );
  });

  it('goes on with the other side after a restart', () => {
    const host = begin();
    beat(host);
    expect(beat(begin({ saved: host.state.savedText }))).to.deep.equal(['sell 3754751']);
  });

  it('keeps its beat at the interval it was told', () => {
    const host = begin({
      given: { intervalMs: 100, maxOpen: 100 },
      maxOpenOrders: 50,
      maxOpenOrdersPerSymbol: 50,
    });
    let placed = 0;
    for (let count = 0; count < 40; count++) placed += beat(host, 50).length;
    expect(placed).to.equal(20);
  });
});

describe('observe', () => {
  it('never asks for anything', () => {
    const host = hostOf(observe);
    host.step(control(), listed(BTCTRY), account({ TRY: '100000', BTC: '1' }));
    expect(host.told(bookEvent(book), { type: 'tick' }, { type: 'stopping' })).to.deep.equal([]);
  });

  it('has no parameters', () => {
    expect(() => hostOf(observe, { given: { notional: '1' } })).to.throw('it has no parameters');
  });
});

describe('orders sized by value', () => {
  it('are whole lots worth the value, give or take one lot', () => {
    const host = begin({ given: { notional: '99.91' } });
    const [place] = places(host.after(1_000)) as [PlaceOrder];
    expect(notional(place.terms.price ?? 0n, place.terms.quantity) >= parseDecimal('99.91')).to.equal(true);
  });
});
