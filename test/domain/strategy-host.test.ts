import { expect } from 'chai';
import fc from 'fast-check';
import { parseDecimal } from '#src/domain/money.js';
import type { PlaceOrder } from '#src/domain/order-events.js';
import { defineStrategy, type Strategy, type StrategyIntent } from '#src/domain/strategy.js';
import {
  CANCEL_AGAIN_MS,
  MAX_FAULTS,
  MAX_INTENTS_PER_CALL,
  MAX_INTENTS_PER_SECOND,
  SAVE_INTERVAL_MS,
  type StrategyHostEffect,
  UNANSWERED_MS,
} from '#src/domain/strategy-host.js';
import {
  account,
  BTCTRY,
  bookEvent,
  bookOf,
  canceled,
  cancels,
  control,
  denied,
  type HostOptions,
  hostOf,
  listed,
  orderOf,
  places,
  type TestHost,
  updated,
  working,
} from '../strategies/fixtures.js';

const book = bookOf(BTCTRY, [['3750000', '0.5']], [['3750100', '0.5']]);
const bid: StrategyIntent = {
  type: 'place',
  symbol: 'BTCTRY',
  side: 'buy',
  method: 'limit',
  price: parseDecimal('3749000'),
  quantity: parseDecimal('0.0001'),
};

const define = (strategy: Strategy) =>
  defineStrategy({ name: 'sample', about: '', parameters: {}, timerMs: () => 100, create: () => strategy });

const begin = (strategy: Strategy, options: HostOptions = {}): TestHost => {
  const host = hostOf(define(strategy), options);
  host.step(control(), listed(BTCTRY), account({ TRY: '100000', BTC: '1' }));
  return host;
};

const logged = (effects: readonly StrategyHostEffect[], event: string) =>
  effects.filter(effect => effect.type === 'log' && effect.event === event);

describe('strategy host', () => {
  it('starts the strategy once every instrument is known, and calls nothing before', () => {
    const calls: string[] = [];
    const host = hostOf(
      define({
        onStart: () => {
          calls.push('start');
          return [];
        },
        onBook: () => {
          calls.push('book');
          return [];
        },
      }),
    );
    host.step(control(), bookEvent(book), listed(), listed(BTCTRY), listed(BTCTRY), bookEvent(book));
    expect(calls).to.deep.equal(['start', 'book']);
  });

  it('forwards an intent with its terms, its end of validity, the book it was made on and its cause', () => {
    const host = begin({ onBook: () => [bid] });
    const [place] = host.told(bookEvent({ ...book, version: 7 }, 'market-data:0:42')) as [PlaceOrder];
    expect(place).to.deep.equal({
      type: 'place-order',
      id: 'strategy:0:1',
      cause: 'market-data:0:42',
      intentId: `sample:0-${(1_790_000_000_000).toString(36)}:1`,
      strategy: 'sample',
      terms: {
        symbol: 'BTCTRY',
        side: 'buy',
        method: 'limit',
        price: bid.price,
        quantity: bid.quantity,
        quoteQuantity: null,
        stopPrice: null,
      },
      validUntilMonoMs: 11_000,
      bookVersion: 7,
    });
  });

  it('names the newest market event as the cause of what a timer decides', () => {
    const host = begin({ onTimer: () => [bid] });
    host.step(bookEvent(book, 'market-data:0:9'));
    expect(places(host.after(100))[0]?.cause).to.equal('market-data:0:9');
  });

  it('calls the timer at its interval, and once after a pause', () => {
    let calls = 0;
    const host = begin({
      onTimer: () => {
        calls += 1;
        return [];
      },
    });
    for (let count = 0; count < 10; count++) host.after(50);
    expect(calls).to.equal(5);
    host.after(10_000);
    expect(calls).to.equal(6);
    host.after(50);
    expect(calls).to.equal(6);
  });

  it('never uses an intent id twice, also in a later run', () => {
    const ids = new Set<string>();
    for (const startedAtMs of [1_790_000_000_000, 1_790_000_000_001]) {
      const host = begin({ onBook: () => [bid, bid] }, { startedAtMs });
      for (const place of places(host.told(bookEvent(book), bookEvent(book)))) ids.add(place.intentId);
    }
    expect(ids.size).to.equal(8);
  });

  describe('shows an order', () => {
    const seen = (host: TestHost) => host.state.host.view.openOrders('BTCTRY').map(order => order.status);

    it('as pending, in flight, working, canceling and gone', () => {
      const host = begin({ onBook: () => [bid] });
      const [place] = places(host.told(bookEvent(book))) as [PlaceOrder];
      expect(seen(host)).to.deep.equal(['pending']);
      host.step(updated(place, { status: 'intended' }));
      expect(seen(host)).to.deep.equal(['in-flight']);
      host.step(updated(place, { status: 'in-flight', sentAtMs: 1 }));
      expect(seen(host)).to.deep.equal(['in-flight']);
      host.step(working(place));
      expect(seen(host)).to.deep.equal(['working']);
      host.step(
        updated(place, { status: 'cancel-in-flight', venueOrderId: '1', filled: 0n, requestedAtMs: 1 }),
      );
      expect(seen(host)).to.deep.equal(['canceling']);
      host.step(canceled(place));
      expect(seen(host)).to.deep.equal([]);
    });

    it('as unknown while its outcome is', () => {
      const host = begin({ onBook: () => [bid] });
      const [place] = places(host.told(bookEvent(book))) as [PlaceOrder];
      host.step(updated(place, { status: 'unknown', sinceMs: 1, cause: 'timeout', filled: 0n }));
      expect(seen(host)).to.deep.equal(['unknown']);
    });

    it('of an earlier run, until it ends', () => {
      const place = {
        ...(places(begin({ onBook: () => [bid] }).told(bookEvent(book)))[0] as PlaceOrder),
        intentId: 'sample:0-old:1',
      };
      const left = orderOf(place, { status: 'working', venueOrderId: '1', filled: 0n });
      const other = { ...left, intentId: 'other:0-old:1', strategy: 'other' };
      const host = begin({}, { openOrders: [left, other] });
      expect(seen(host)).to.deep.equal(['working']);
      host.step(canceled(place));
      expect(seen(host)).to.deep.equal([]);
    });

    it('no longer when it was denied, and tells the strategy which one', () => {
      const events: unknown[] = [];
      const host = begin({
        onBook: () => [bid],
        onOrder: (_view, event) => {
          events.push(event.type === 'denied' ? [event.order.intentId, event.denial.code] : event.type);
          return [];
        },
      });
      const [place] = places(host.told(bookEvent(book))) as [PlaceOrder];
      host.step(denied(place, 'symbol-blocked'));
      expect(seen(host)).to.deep.equal([]);
      expect(events).to.deep.equal([[place.intentId, 'symbol-blocked']]);
    });

    it('no longer when nobody answers long after the intent has expired', () => {
      const host = begin({ onBook: () => [bid] });
      host.step(bookEvent(book));
      host.after(1_000 + UNANSWERED_MS);
      expect(seen(host)).to.deep.equal(['pending']);
      host.after(1);
      expect(seen(host)).to.deep.equal([]);
      expect(host.state.counts.unanswered).to.equal(1);
    });
  });

  it('asks for a cancel once, and again only when it had no effect', () => {
    let target = '';
    const host = begin({ onTimer: () => [{ type: 'cancel', intentId: target }], onTrade: () => [bid] });
    const [place] = places(
      host.told({
        type: 'public-trade',
        id: 'market-data:0:5',
        cause: 'frame',
        symbol: 'BTCTRY',
        tradeId: '1',
        price: bid.price,
        quantity: 1n,
        side: 'buy',
        tradedAtMs: 0,
      }),
    ) as [PlaceOrder];
    target = place.intentId;
    host.step(working(place));
    expect(cancels(host.after(100))).to.have.length(1);
    expect(cancels(host.after(CANCEL_AGAIN_MS - 200))).to.have.length(0);
    expect(cancels(host.after(400))).to.have.length(1);
    expect(
      cancels([
        ...host.told(
          updated(place, { status: 'cancel-in-flight', venueOrderId: '1', filled: 0n, requestedAtMs: 1 }),
        ),
        ...host.after(CANCEL_AGAIN_MS * 2),
      ]),
    ).to.have.length(0);
    host.step(canceled(place));
    expect(host.after(500)).to.deep.equal([]);
  });

  describe('while submitting is forbidden', () => {
    for (const [words, state] of [
      ['by the trading state', control({ maySubmit: false, state: 'cancel-only' })],
      ['on the symbol', control({ blockedSymbols: ['BTCTRY'] })],
    ] as const)
      it(`${words}, keeps place intents back and forwards cancels`, () => {
        const host = begin({
          onBook: view => [
            ...view.openOrders().map(order => ({ type: 'cancel', intentId: order.intentId }) as const),
            bid,
          ],
        });
        const [place] = places(host.told(bookEvent(book))) as [PlaceOrder];
        host.step(working(place), state);
        const told = host.told(bookEvent(book));
        expect(told.map(message => message.type)).to.deep.equal(['cancel-order']);
        expect(host.state.counts.suppressed).to.equal(1);
        expect(host.state.host.view.maySubmit('BTCTRY')).to.equal(false);
      });

    it('because no word of the supervisor has come, nothing is placed', () => {
      const host = hostOf(define({ onBook: () => [bid] }));
      expect(host.told(listed(BTCTRY), bookEvent(book))).to.deep.equal([]);
    });
  });

  describe('does not let the strategy trust', () => {
    const trust = (): { host: TestHost; seen: boolean[] } => {
      const seen: boolean[] = [];
      const host = begin({
        onBook: (_view, shown) => {
          seen.push(shown.trusted);
          return [];
        },
      });
      return { host, seen };
    };
    const feed = (state: 'stale' | 'live') =>
      ({
        type: 'feed-status-changed',
        id: 'market-data:0:3',
        cause: 'tick',
        symbol: 'BTCTRY',
        state,
        reason: '',
      }) as const;

    it('a book whose feed is anything but live, and says so at once', () => {
      const { host, seen } = trust();
      host.step(
        bookEvent(book),
        feed('stale'),
        feed('stale'),
        bookEvent(book),
        feed('live'),
        bookEvent(book),
      );
      expect(seen).to.deep.equal([true, false, false, true]);
    });

    it('a book that market-data does not trust', () => {
      const { host, seen } = trust();
      host.step(bookEvent({ ...book, trusted: false }));
      expect(seen).to.deep.equal([false]);
    });
  });

  describe('contains a strategy that', () => {
    const nonsense: readonly (readonly [string, unknown])[] = [
      ['returns text', 'buy'],
      ['returns null intents', [null]],
      ['invents an intent', [{ type: 'withdraw' }]],
      ['trades a foreign symbol', [{ ...bid, symbol: 'ETHTRY' }]],
      ['has a side of its own', [{ ...bid, side: 'long' }]],
      ['asks for another method', [{ ...bid, method: 'market' }]],
      ['gives a floating price', [{ ...bid, price: 3_749_000 }]],
      ['gives a price off the grid', [{ ...bid, price: parseDecimal('3749000.5') }]],
      ['gives no price', [{ ...bid, price: 0n }]],
      ['gives a negative quantity', [{ ...bid, quantity: -1n }]],
      ['gives a quantity off the grid', [{ ...bid, quantity: 1n }]],
      ['cancels nothing in particular', [{ type: 'cancel' }]],
      ['notes an object', [{ type: 'note', text: {} }]],
      ['floods in one call', Array.from({ length: MAX_INTENTS_PER_CALL + 1 }, () => bid)],
    ];
    for (const [words, returned] of nonsense)
      it(`${words}: drops the whole call, also its sound intents, and names the strategy`, () => {
        const host = begin({
          onBook: () => (Array.isArray(returned) ? [bid, ...returned] : returned) as StrategyIntent[],
        });
        const effects = host.step(bookEvent(book));
        expect(effects.filter(effect => effect.type === 'tell')).to.deep.equal([]);
        expect(logged(effects, 'strategy-fault')[0]).to.have.nested.property('fields.strategy', 'sample');
      });

    for (const callback of ['onStart', 'onBook', 'onTimer', 'onOrder', 'onTrade', 'onStop'] as const)
      it(`throws in ${callback}`, () => {
        const strategy: Strategy = {
          onBook: () => [bid],
          [callback]: () => {
            throw new Error('broken');
          },
        };
        const host = hostOf(define(strategy));
        const effects = host.step(control(), listed(BTCTRY));
        const told = host.step(bookEvent(book));
        effects.push(...told);
        for (const effect of told)
          if (effect.type === 'tell') effects.push(...host.step(working(effect.message as PlaceOrder)));
        effects.push(
          ...host.step({
            type: 'public-trade',
            id: 'x',
            cause: 'frame',
            symbol: 'BTCTRY',
            tradeId: '1',
            price: 1n,
            quantity: 1n,
            side: 'buy',
            tradedAtMs: 0,
          }),
        );
        host.now = { ...host.now, monoMs: host.now.monoMs + 100 };
        effects.push(...host.step({ type: 'tick' }, { type: 'stopping' }));
        expect(logged(effects, 'strategy-fault')).to.have.length(1);
        expect(logged(effects, 'strategy-fault')[0])
          .to.have.property('fields')
          .that.includes({ callback, problem: 'Error: broken' });
      });

    it('keeps throwing: stops it, cancels what rests and sends nothing more', () => {
      let broken = false;
      const host = begin({
        onBook: () => {
          if (broken) throw new Error('broken');
          return [bid];
        },
      });
      const [place] = places(host.told(bookEvent(book))) as [PlaceOrder];
      host.step(working(place));
      broken = true;
      const effects: StrategyHostEffect[] = [];
      for (let count = 0; count < MAX_FAULTS; count++) effects.push(...host.step(bookEvent(book)));
      expect(logged(effects, 'strategy-stopped')).to.have.length(1);
      expect(effects.flatMap(effect => (effect.type === 'tell' ? [effect.message.type] : []))).to.deep.equal([
        'cancel-order',
      ]);
      broken = false;
      expect(host.told(bookEvent(book), { type: 'tick' })).to.deep.equal([]);
    });

    it('throws now and then: lets it go on', () => {
      let calls = 0;
      const host = begin({
        onBook: () => {
          calls += 1;
          throw new Error('broken');
        },
      });
      for (let count = 0; count < 3 * MAX_FAULTS; count++) {
        host.step(bookEvent(book));
        host.after(30_000);
      }
      expect(calls).to.equal(3 * MAX_FAULTS);
      expect(host.state.stopped).to.equal(null);
    });

    it('floods over many calls', () => {
      const host = begin({ onBook: () => [bid, bid] });
      let placed = 0;
      for (let count = 0; count < MAX_INTENTS_PER_SECOND; count++)
        placed += host.told(bookEvent(book)).length;
      expect(placed).to.be.at.most(2 * MAX_INTENTS_PER_SECOND);
      expect(host.state.stopped).to.contain('within a second');
    });

    it('gives a reason that cannot be written down', () => {
      for (const tag of ['', 'Upper', 'a b', 'x'.repeat(33), 5 as unknown as string]) {
        const host = begin({ onBook: () => [{ ...bid, tag }] });
        const effects = host.step(bookEvent(book));
        expect(logged(effects, 'strategy-fault'), String(tag)).to.have.length(1);
        expect(effects.filter(({ type }) => type === 'tell')).to.deep.equal([]);
      }
    });

    it('cannot save', () => {
      const host = begin({ save: () => 5 as unknown as string });
      expect(logged(host.step({ type: 'stopping' }), 'strategy-fault')).to.have.length(1);
    });
  });

  it('writes a note once', () => {
    const host = begin({ onBook: () => [{ type: 'note', text: 'too small' }] });
    expect(logged(host.step(bookEvent(book), bookEvent(book)), 'strategy-note')).to.have.length(1);
  });

  it('restores what was saved before it starts, and saves again only what changed', () => {
    let count = 0;
    const strategy: Strategy = {
      load: text => {
        count = Number(text);
      },
      onStart: () => {
        count += 1;
        return [];
      },
      save: () => String(count),
    };
    const host = begin(strategy, { saved: '41' });
    host.now = { ...host.now, monoMs: host.now.monoMs + SAVE_INTERVAL_MS };
    const saved = (effects: readonly StrategyHostEffect[]) =>
      effects.flatMap(effect =>
        effect.type === 'append' ? [[effect.request.durable, effect.request.records[0]]] : [],
      );
    expect(saved(host.step({ type: 'tick' }))).to.deep.equal([
      [false, { type: 'strategy-saved', strategy: 'sample', state: '42', atMs: 1_790_000_000_000 }],
    ]);
    expect(saved(host.step({ type: 'stopping' }))).to.deep.equal([]);
    count = 43;
    const stopped = begin({ ...strategy, onStart: () => [] }, { saved: null });
    expect(saved(stopped.step({ type: 'stopping' }))[0]?.[0]).to.equal(true);
  });

  it('forwards only cancels at a stop, then calls nothing any more', () => {
    const host = begin({
      onBook: () => [bid],
      onStop: view => [
        bid,
        ...view.openOrders().map(order => ({ type: 'cancel', intentId: order.intentId }) as const),
      ],
    });
    const [place] = places(host.told(bookEvent(book))) as [PlaceOrder];
    host.step(working(place));
    expect(host.told({ type: 'stopping' }).map(message => message.type)).to.deep.equal(['cancel-order']);
    expect(host.told(bookEvent(book), { type: 'stopping' })).to.deep.equal([]);
  });

  it('keeps its promises whatever a strategy returns and whatever happens', () => {
    const runs = Number(process.env.BTCBOT_RUNS ?? 300);
    const intents = fc.array(
      fc.oneof(
        fc.constant(bid as unknown),
        fc.record({ type: fc.constant('cancel'), intentId: fc.string() }),
        fc.anything(),
      ),
      { maxLength: 4 },
    );
    const events = fc.array(
      fc.oneof(
        intents.map(returned => ({ kind: 'book' as const, returned })),
        fc.constant({ kind: 'throw' as const }),
        fc.boolean().map(may => ({ kind: 'control' as const, may })),
        fc.integer({ min: 0, max: 20_000 }).map(ms => ({ kind: 'wait' as const, ms })),
        fc.nat(5).map(index => ({ kind: 'answer' as const, index })),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(events, history => {
        let next: unknown = [];
        const host = begin({
          onBook: () => {
            if (next === 'throw') throw new Error('broken');
            return next as StrategyIntent[];
          },
        });
        const ids = new Set<string>();
        const placed: PlaceOrder[] = [];
        let may = true;
        const check = (messages: readonly { type: string }[]): void => {
          for (const message of messages as (PlaceOrder | { type: 'cancel-order'; intentId: string })[]) {
            if (message.type === 'cancel-order') {
              expect(ids.has(message.intentId)).to.equal(true);
              continue;
            }
            expect(may, 'a place intent left while forbidden').to.equal(true);
            expect(ids.has(message.intentId), 'an intent id was used twice').to.equal(false);
            ids.add(message.intentId);
            placed.push(message);
          }
        };
        for (const event of history) {
          if (event.kind === 'book') next = event.returned;
          if (event.kind === 'throw') next = 'throw';
          if (event.kind === 'control') {
            may = event.may;
            check(host.told(control({ maySubmit: may })));
          } else if (event.kind === 'wait') check(host.after(event.ms));
          else if (event.kind === 'answer') {
            const place = placed[event.index];
            if (place !== undefined)
              check(host.told(event.index % 2 === 0 ? working(place) : canceled(place)));
          } else check(host.told(bookEvent(book)));
        }
      }),
      { numRuns: runs },
    );
  });
});
