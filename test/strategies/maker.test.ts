import { expect } from 'chai';
import fc from 'fast-check';
import { lotSize, tickSize } from '#src/domain/instrument.js';
import { formatDecimal, notional, parseDecimal } from '#src/domain/money.js';
import type { CancelOrder, PlaceOrder } from '#src/domain/order-events.js';
import { maker } from '#src/strategies/maker.js';
import {
  account,
  BTCTRY,
  BTCUSDT,
  bookEvent,
  bookOf,
  canceled,
  cancels,
  control,
  denied,
  filledFor,
  type HostOptions,
  hostOf,
  listed,
  places,
  type TestHost,
  working,
} from './fixtures.js';

const book = bookOf(BTCTRY, [['3749000', '0.5']], [['3751000', '0.5']]);
const shifted = (by: number) =>
  bookOf(BTCTRY, [[String(3_749_000 + by), '0.5']], [[String(3_751_000 + by), '0.5']]);

const begin = (options: HostOptions = {}): TestHost => {
  const host = hostOf(maker, options);
  host.step(control(), listed(BTCTRY), account({ TRY: '100000', BTC: '1' }));
  return host;
};

const shape = (messages: readonly (PlaceOrder | CancelOrder)[]) =>
  messages.map(message =>
    message.type === 'place-order'
      ? `${message.terms.side} ${formatDecimal(message.terms.price ?? 0n)}`
      : 'cancel',
  );

/** Quotes both sides and lets both rest. */
const quoting = (options: HostOptions = {}): { host: TestHost; bid: PlaceOrder; ask: PlaceOrder } => {
  const host = begin(options);
  const [bid, ask] = places(host.told(bookEvent(book))) as [PlaceOrder, PlaceOrder];
  host.step(working(bid), working(ask));
  return { host, bid, ask };
};

describe('maker', () => {
  it('quotes both sides around the fair price on the first trusted book', () => {
    expect(shape(begin().told(bookEvent(book)))).to.deep.equal(['buy 3749250', 'sell 3750750']);
  });

  it('sizes its quotes by value, in whole lots and not below the least order value', () => {
    for (const value of ['250', '99.91']) {
      const [bid] = places(begin({ given: { notional: value } }).told(bookEvent(book))) as [PlaceOrder];
      const worth = notional(bid.terms.price ?? 0n, bid.terms.quantity);
      const step = notional(bid.terms.price ?? 0n, lotSize(BTCTRY));
      expect(worth - parseDecimal(value) <= step && parseDecimal(value) - worth <= step).to.equal(true);
      expect(worth >= BTCTRY.minNotional).to.equal(true);
    }
  });

  it('says once that its value per quote is too small, and quotes nothing', () => {
    const host = hostOf(maker, { given: { notional: '50' } });
    const effects = host.step(control(), listed(BTCTRY));
    expect(
      effects.filter(effect => effect.type === 'log' && effect.event === 'strategy-note'),
    ).to.have.length(1);
    host.step(account({ TRY: '100000', BTC: '1' }));
    expect(host.told(bookEvent(book))).to.deep.equal([]);
  });

  it('never crosses the market, however small its width', () => {
    const tight = bookOf(BTCTRY, [['3750000', '0.5']], [['3750001', '0.5']]);
    const host = begin({ given: { minHalfSpreadBps: 0, volatilityMultiple: 0 } });
    expect(shape(host.told(bookEvent(tight)))).to.deep.equal(['buy 3750000', 'sell 3750001']);
  });

  it('keeps clear of its own fees when told to', () => {
    const host = begin({ given: { coverFees: true } });
    expect(shape(host.told(bookEvent(book)))).to.deep.equal(['buy 3745500', 'sell 3754500']);
  });

  it('keeps clear of its own fees whatever its position shifts', () => {
    const host = begin({ given: { coverFees: true, skewBps: 50 } });
    host.step(account({ TRY: '100000', BTC: '1' }), filledFor('maker', 'BTCTRY', '0.0003333333'));
    expect(shape(host.told(bookEvent(book)))).to.deep.equal(['buy 3736136', 'sell 3754500']);
  });

  it('asks for no two quotes at one price', () => {
    const even = bookOf(BTCTRY, [['3749999', '0.5']], [['3750001', '0.5']]);
    const host = begin({ given: { minHalfSpreadBps: 0, volatilityMultiple: 0 } });
    expect(shape(host.told(bookEvent(even)))).to.deep.equal(['buy 3750000', 'sell 3750001']);
  });

  it('leaves its quotes alone while the wanted price is within the tolerance', () => {
    const { host } = quoting();
    host.after(5_000);
    expect(host.told(bookEvent(shifted(300)))).to.deep.equal([]);
  });

  it('cancels an outdated quote first and replaces it when it is gone', () => {
    const { host, bid, ask } = quoting();
    host.after(5_000);
    const told = host.told(bookEvent(shifted(4_000)));
    expect(shape(told)).to.deep.equal(['cancel', 'cancel']);
    expect(host.told(bookEvent(shifted(4_000)))).to.deep.equal([]);
    // The new bid is above the old ask, which may still fill: it waits.
    expect(shape(host.told(canceled(bid)))).to.deep.equal([]);
    expect(shape(host.told(canceled(ask)))).to.deep.equal(['buy 3753249', 'sell 3754751']);
  });

  it('does not place on one side more often than refreshMs', () => {
    const { host, bid } = quoting({ given: { refreshMs: 2_000 } });
    expect(host.told(canceled(bid, bid.terms.quantity))).to.deep.equal([]);
    expect(shape(host.after(1_900))).to.deep.equal([]);
    expect(shape(host.after(250))).to.deep.equal(['buy 3749250']);
  });

  it('replaces a quote of which less than half is left', () => {
    const { host, bid } = quoting();
    host.after(2_000);
    expect(host.told(working(bid, bid.terms.quantity / 3n))).to.deep.equal([]);
    expect(cancels(host.told(working(bid, (bid.terms.quantity * 2n) / 3n)))).to.have.length(1);
  });

  it('pulls its quotes from a market it cannot believe, and places none there', () => {
    for (const untrusted of [
      { ...book, trusted: false },
      bookOf(BTCTRY, [['3749000', '0.5']], []),
      bookOf(BTCTRY, [], []),
    ]) {
      const { host, bid, ask } = quoting();
      expect(shape(host.told(bookEvent(untrusted)))).to.deep.equal(['cancel', 'cancel']);
      host.step(canceled(bid), canceled(ask));
      expect(host.after(5_000)).to.deep.equal([]);
    }
  });

  it('does not take its own quotes for the market', () => {
    const { host, bid, ask } = quoting({ given: { toleranceBps: 0 } });
    host.after(2_000);
    const withOwn = bookOf(
      BTCTRY,
      [
        ['3749250', formatDecimal(bid.terms.quantity)],
        ['3749000', '0.5'],
      ],
      [
        ['3750750', formatDecimal(ask.terms.quantity)],
        ['3751000', '0.5'],
      ],
    );
    expect(host.told(bookEvent(withOwn))).to.deep.equal([]);
  });

  it('shifts its quotes against its position, and at the limit quotes only the way back', () => {
    const quotes = (position: string): string[] => {
      const host = begin();
      host.step(account({ TRY: '100000', BTC: '1' }), filledFor('maker', 'BTCTRY', position));
      return shape(host.told(bookEvent(book)));
    };
    expect(quotes('0.0003333333')).to.deep.equal(['buy 3748500', 'sell 3750000']);
    expect(quotes('-0.0003333333')).to.deep.equal(['buy 3749999', 'sell 3751501']);
    expect(quotes('0.001')).to.deep.equal(['sell 3749250']);
    expect(quotes('-0.001')).to.deep.equal(['buy 3750749']);
  });

  it('quotes only what the account can pay for', () => {
    const sides = (balances: Record<string, string>): string[] => {
      const host = begin();
      host.step(account(balances));
      return places(host.told(bookEvent(book))).map(({ terms }) => terms.side);
    };
    expect(sides({ TRY: '100000', BTC: '0' })).to.deep.equal(['buy']);
    expect(sides({ TRY: '50', BTC: '1' })).to.deep.equal(['sell']);
    expect(sides({})).to.deep.equal([]);
    const [bid] = places(
      (() => {
        const host = begin();
        host.step(account({ TRY: '200', BTC: '0' }));
        return host.told(bookEvent(book));
      })(),
    ) as [PlaceOrder];
    const worth = notional(bid.terms.price ?? 0n, bid.terms.quantity);
    expect(worth < parseDecimal('200') && worth > parseDecimal('199')).to.equal(true);
  });

  it('with room for one order quotes the side that leads back to the target', () => {
    const host = begin({ maxOpenOrdersPerSymbol: 1 });
    const [bid, ...more] = places(host.told(bookEvent(book))) as [PlaceOrder];
    expect(more).to.deep.equal([]);
    expect(bid.terms.side).to.equal('buy');
    host.step(working(bid));
    host.step(
      account({ TRY: '99750', BTC: '1' }),
      filledFor('maker', 'BTCTRY', formatDecimal(bid.terms.quantity)),
    );
    const told = host.told(canceled(bid, bid.terms.quantity));
    expect(places(told).map(({ terms }) => terms.side)).to.deep.equal(['sell']);
  });

  it('waits longer after each refusal, and is patient no more once an order works', () => {
    const host = begin();
    host.step(account({ TRY: '100000', BTC: '0' }));
    const waits: number[] = [];
    let [bid] = places(host.told(bookEvent(book))) as [PlaceOrder];
    for (let round = 0; round < 7; round++) {
      host.step(denied(bid, 'insufficient-balance'));
      let waited = 0;
      let next: PlaceOrder[] = [];
      while (next.length === 0) {
        next = places(host.after(250));
        waited += 250;
      }
      waits.push(waited);
      bid = next[0] as PlaceOrder;
    }
    expect(waits).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    host.step(working(bid), canceled(bid));
    expect(places(host.after(1_250))).to.have.length(1);
  });

  it('widens with the moves of the market, up to its limit', () => {
    const widthAfter = (step: number): number => {
      const host = begin({ given: { notional: '100', maxHalfSpreadBps: 20 } });
      let placed: PlaceOrder[] = [];
      for (let count = 0; count < 40; count++) {
        const told = [...host.after(1_000), ...host.told(bookEvent(shifted(count % 2 === 0 ? step : 0)))];
        placed = [...placed, ...places(told)];
        for (const place of places(told)) host.step(working(place), canceled(place));
      }
      const last = (side: string) =>
        Number(formatDecimal(placed.findLast(({ terms }) => terms.side === side)?.terms.price ?? 0n));
      return ((last('sell') - last('buy')) / 2 / 3_750_000) * 10_000;
    };
    expect(widthAfter(0)).to.be.closeTo(2, 0.01);
    expect(widthAfter(3_750)).to.be.within(9, 11);
    expect(widthAfter(37_500)).to.be.closeTo(20, 0.2);
  });

  it('takes over the quotes that an earlier run left', () => {
    const earlier = quoting();
    const left = [earlier.bid, earlier.ask].map(place => working(place).order);
    const host = begin({ openOrders: left, startedAtMs: 1_790_000_100_000 });
    expect(host.told(bookEvent(book))).to.deep.equal([]);
    expect(host.state.host.view.openOrders()).to.have.length(2);
  });

  it('keeps at most one order on each side, on the grid, never crossing itself, in any market', () => {
    const runs = Number(process.env.BTCBOT_RUNS ?? 200);
    const quantity = fc.integer({ min: 1, max: 100_000 }).map(lots => String(lots / 1e5));
    const books = fc
      .record({
        mid: fc.integer({ min: 6_100_000, max: 6_200_000 }),
        halfSpread: fc.integer({ min: 1, max: 2_000 }),
        bid: quantity,
        ask: quantity,
        trusted: fc.boolean(),
      })
      .map(({ mid, halfSpread, bid, ask, trusted }) =>
        bookOf(
          BTCUSDT,
          [[((mid - halfSpread) / 100).toFixed(2), bid]],
          [[((mid + halfSpread) / 100).toFixed(2), ask]],
          { trusted },
        ),
      );
    const events = fc.array(
      fc.oneof(
        { weight: 3, arbitrary: books.map(shown => ({ kind: 'book' as const, shown })) },
        fc.integer({ min: 50, max: 3_000 }).map(ms => ({ kind: 'wait' as const, ms })),
        fc.nat(3).map(index => ({ kind: 'works' as const, index })),
        fc.nat(3).map(index => ({ kind: 'ends' as const, index })),
        fc.nat(3).map(index => ({ kind: 'denied' as const, index })),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(events, history => {
        const host = hostOf(maker, { symbols: ['BTCUSDT'] });
        host.step(control(), listed(BTCUSDT), account({ USDT: '10000', BTC: '1' }));
        const open = new Map<string, PlaceOrder>();
        const confirmed = new Set<string>();
        const check = (messages: readonly (PlaceOrder | CancelOrder)[]): void => {
          for (const place of places(messages)) {
            const price = place.terms.price ?? 0n;
            expect(price % tickSize(BTCUSDT)).to.equal(0n);
            expect(place.terms.quantity % lotSize(BTCUSDT)).to.equal(0n);
            for (const { terms } of open.values()) {
              expect(terms.side, 'a second order on one side').to.not.equal(place.terms.side);
              const [buy, sell] =
                terms.side === 'buy' ? [terms.price ?? 0n, price] : [price, terms.price ?? 0n];
              expect(buy < sell, 'an order that would trade with our own').to.equal(true);
            }
            open.set(place.intentId, place);
          }
          for (const cancel of cancels(messages)) expect(confirmed.has(cancel.intentId)).to.equal(true);
        };
        for (const event of history) {
          if (event.kind === 'book') check(host.told(bookEvent(event.shown)));
          else if (event.kind === 'wait') {
            const messages = host.after(event.ms);
            // An intent that nobody answered for long is given up by the host: it was never received.
            for (const intentId of open.keys())
              if (!confirmed.has(intentId) && !host.state.orders.has(intentId)) open.delete(intentId);
            check(messages);
          } else {
            const place = [...open.values()][event.index];
            if (place === undefined) continue;
            if (event.kind === 'works') {
              confirmed.add(place.intentId);
              check(host.told(working(place)));
              continue;
            }
            if (event.kind === 'denied' && confirmed.has(place.intentId)) continue;
            open.delete(place.intentId);
            check(host.told(event.kind === 'denied' ? denied(place) : canceled(place)));
          }
          expect(host.state.counts.faults).to.equal(0);
        }
      }),
      { numRuns: runs },
    );
  });
});
