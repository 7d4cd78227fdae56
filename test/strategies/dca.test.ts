import { expect } from 'chai';
import fc from 'fast-check';
import { notional, parseDecimal } from '#src/domain/money.js';
import type { PlaceOrder } from '#src/domain/order-events.js';
import { dca } from '#src/strategies/dca.js';
import { type Rehearsal, type RehearsalOptions, rehearse } from '#src/testing.js';
import { runs } from '../runs.js';
import { account, BTCTRY, bookEvent, bookOf, control, fillPart, hostOf, listed, places } from './fixtures.js';

const begin = (parameters: Record<string, unknown> = {}, options: RehearsalOptions = {}): Rehearsal => {
  const play = rehearse(dca, {
    parameters: { notional: '100', everyMs: 3_600_000, patienceMs: 10_000, ...parameters },
    ...options,
  });
  play.book('99', '101');
  return play;
};

describe('dca', () => {
  it('rests at the best bid first, then takes the offer with what is left, and waits for the next time', () => {
    const play = begin();
    expect(play.after(1_000)).to.deep.equal([
      { type: 'place', symbol: 'BTCTRY', side: 'buy', price: '99', quantity: '1.01010101', tag: 'dca' },
    ]);
    play.confirm();
    play.fill(play.orders[0]!, '0.5');
    expect(play.after(10_000)).to.deep.equal([
      { type: 'cancel', symbol: 'BTCTRY', side: 'buy', price: '99' },
    ]);
    play.endCancels();
    // 101 and 10 bps; 100 less what the half already bought has cost.
    expect(play.after(1_000)).to.deep.equal([
      {
        type: 'place',
        symbol: 'BTCTRY',
        side: 'buy',
        price: '101.1',
        quantity: '0.49950544',
        tag: 'dca-late',
      },
    ]);
    play.confirm();
    play.fill(play.orders[0]!);
    expect(play.after(3_580_000)).to.deep.equal([]);
    expect(play.after(10_000)).to.have.length(1);
  });

  it('buys once, not once for each time that was missed', () => {
    const play = begin();
    play.allow(false);
    expect(play.after(20_000_000)).to.deep.equal([]);
    play.allow(true);
    expect(play.after(1_000)).to.have.length(1);
    play.confirm();
    play.fill(play.orders[0]!);
    expect(play.after(600_000)).to.deep.equal([]);
  });

  it('does not buy again after a restart what it has bought', () => {
    const play = begin();
    play.after(1_000);
    play.confirm();
    play.fill(play.orders[0]!);
    play.restart();
    play.book('99', '101');
    expect(play.after(60_000)).to.deep.equal([]);
    const asked = begin();
    asked.after(1_000);
    asked.confirm();
    asked.restart();
    asked.book('99', '101');
    expect(asked.after(1_000), 'its order is still open').to.deep.equal([]);
  });

  it('stops at the most it may hold, and says so', () => {
    const play = begin({ maxPosition: '150' });
    play.after(1_000);
    play.confirm();
    play.fill(play.orders[0]!);
    expect(play.after(3_600_000)).to.deep.equal([]);
    expect(play.notes.join()).to.contain('at its most');
  });

  it('spends its amount and no more when the price falls in the middle of a purchase', () => {
    const play = begin();
    play.after(1_000);
    play.confirm();
    play.fill(play.orders[0]!, '0.5');
    play.restart();
    play.book('49', '50');
    play.after(10_000);
    play.endCancels();
    // 49.5 was spent at 99; the rest of 100 buys at 50.05.
    const [late] = play.after(1_000);
    expect(late?.type === 'place' && late.quantity).to.equal('1.008991');
  });

  it('does not finish an old purchase and begin a new one when the time of the new one has come', () => {
    const play = begin();
    play.after(1_000);
    play.confirm();
    play.allow(false);
    play.after(20_000);
    play.endCancels();
    play.after(20_000_000);
    play.allow(true);
    let bought = 0;
    for (let second = 0; second < 60; second++)
      for (const shown of play.after(1_000)) {
        if (shown.type !== 'place') continue;
        play.confirm();
        play.fill(play.orders[0]!);
        bought += 1;
      }
    expect(bought).to.equal(1);
    expect(play.notes.join()).to.contain('not finished');
  });

  it('waits no longer than an interval after a clock that was ahead has been set back', () => {
    const startedAtMs = 1_790_000_000_000;
    const ahead = startedAtMs + 10 * 86_400_000;
    const saved = (current: string): string =>
      `[{"symbol":"BTCTRY","lastAtMs":${ahead},"current":${current}}]`;
    const given = { notional: '250', everyMs: 3_600_000, patienceMs: 60_000 };
    const asked = (state: string, ms: number): PlaceOrder[] => {
      const host = hostOf(dca, { given, saved: state, startedAtMs });
      const market = bookOf(BTCTRY, [['3749000', '1']], [['3751000', '1']]);
      host.step(control(), listed(BTCTRY), account({ TRY: '100000' }), bookEvent(market));
      const first = host.after(1_000);
      return places([...first, ...host.after(ms), ...host.after(2_000)]);
    };
    expect(asked(saved('null'), 3_000_000), 'not twice for one time').to.deep.equal([]);
    expect(asked(saved('null'), 3_700_000)).to.have.length(1);
    // One that had begun is patient for its minute and not for ten days.
    const begun = saved(`{"beganAtMs":${ahead},"from":"0","fromCost":"0"}`);
    expect(asked(begun, 62_000).map(({ tag }) => tag)).to.deep.equal(['dca', 'dca-late']);
  });

  it('goes on with a purchase of an earlier version, which had no cost', () => {
    const play = begin();
    play.after(1_000);
    play.confirm();
    play.fill(play.orders[0]!, '0.5');
    play.stop();
    const saved = (play.saved ?? '').replace(/,"fromCost":"\d+"/, '');
    expect(saved).to.not.equal(play.saved);
    expect(() => dca.create({} as never).load?.(saved)).to.not.throw();
  });

  it('says when its purchases are too small for the venue', () => {
    expect(begin({ notional: '5' }).notes.join()).to.contain('below the least order value');
  });

  it('waits longer after each refusal', () => {
    const play = begin({ patienceMs: 600_000 });
    let asked = 0;
    for (let second = 0; second < 60; second++) {
      asked += play.after(1_000).length;
      play.deny();
    }
    expect(asked).to.be.within(5, 7);
  });

  it('refuses a saved plan it did not write', () => {
    for (const saved of ['{}', '[{}]', '[{"symbol":"BTCTRY","lastAtMs":"x","current":null}]', 'nonsense'])
      expect(() => dca.create(begin().status as never).load?.(saved), saved).to.throw();
  });

  it('never holds more than its most, nor asks for more than one purchase', () => {
    const acts = fc.array(
      fc.oneof(
        fc.record({ act: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 8_000_000 }) }),
        fc.record({ act: fc.constant('fill' as const), share: fc.integer({ min: 1, max: 10 }) }),
        fc.record({ act: fc.constant('price' as const), bid: fc.integer({ min: 50, max: 200 }) }),
        fc.constant({ act: 'cancels' as const }),
        fc.constant({ act: 'confirm' as const }),
        fc.constant({ act: 'restart' as const }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(acts, history => {
        const play = begin({ maxPosition: '350' });
        let bid = 99;
        for (const step of history) {
          let shown = step.act === 'wait' ? play.after(Math.min(step.ms, 4_000)) : [];
          if (step.act === 'price') {
            bid = step.bid;
            shown = play.book(String(bid), String(bid + 2));
          }
          if (step.act === 'cancels') play.endCancels();
          if (step.act === 'confirm') play.confirm();
          if (step.act === 'restart') {
            play.restart();
            play.book(String(bid), String(bid + 2));
          }
          const [own] = play.orders;
          if (step.act === 'fill' && own !== undefined) fillPart(play, own, step.share, 10);
          for (const intent of shown)
            if (intent.type === 'place') {
              const held = parseDecimal(play.position());
              const price = parseDecimal(intent.price);
              const worth = notional(price, parseDecimal(intent.quantity));
              expect(worth <= parseDecimal('101'), `${intent.quantity} at ${intent.price}`).to.equal(true);
              expect(notional(price, held) + worth <= parseDecimal('351')).to.equal(true);
            }
          expect(play.orders.length).to.be.at.most(1);
          expect(play.faults).to.deep.equal([]);
        }
      }),
      { numRuns: runs(150) },
    );
  });
});
