import { expect } from 'chai';
import fc from 'fast-check';
import { parseDecimal } from '#src/domain/money.js';
import { grid } from '#src/strategies/grid.js';
import { type Rehearsal, type RehearsalOptions, rehearse, type Shown } from '#src/testing.js';
import { runs } from '../runs.js';
import { fillPart } from './fixtures.js';

const begin = (parameters: Record<string, unknown> = {}, options: RehearsalOptions = {}): Rehearsal =>
  rehearse(grid, {
    parameters: { notional: '100', levels: 4, spacingBps: 100, center: '1000', ...parameters },
    maxOpenOrdersPerSymbol: 4,
    ...options,
  });

const shape = (shown: readonly Shown[]): string[] =>
  shown.map(one =>
    one.type === 'place' ? `${one.side} ${one.quantity} at ${one.price}` : `cancel ${one.side} ${one.price}`,
  );

/** Shows the market until the grid has nothing more to say. */
const settle = (play: Rehearsal, bid: string, ask: string): string[] => {
  const said: string[] = [];
  for (let round = 0; round < 20; round++) {
    const shown = shape([...play.book(bid, ask), ...play.confirm(), ...play.endCancels()]);
    if (shown.length === 0) return said;
    said.push(...shown);
  }
  throw new Error('the grid does not come to rest');
};

/** The order at a price trades, all of it or a part; what the grid says then and after it has seen the market. */
const trade = (play: Rehearsal, price: string, bid: string, ask: string, part?: string): string[] => {
  const own = play.orders.find(order => order.price === parseDecimal(price));
  if (own === undefined) throw new Error(`no order at ${price}`);
  return [...shape(play.fill(own, part)), ...settle(play, bid, ask)];
};

describe('grid', () => {
  it('hangs its buys below the centre, and sells one step higher what a rung has bought', () => {
    const play = begin();
    expect(settle(play, '999', '1001')).to.deep.equal([
      'buy 0.1 at 990',
      'buy 0.1 at 980',
      'buy 0.1 at 970',
      'buy 0.1 at 960',
    ]);
    expect(trade(play, '990', '985', '987')).to.deep.equal(['sell 0.1 at 1000']);
    expect(trade(play, '980', '975', '977')).to.include('sell 0.1 at 990');
    expect(trade(play, '990', '989', '991')).to.include('buy 0.1 at 980');
  });

  it('keeps the rest of a rung that was bought in part, and sells the part', () => {
    const play = begin();
    settle(play, '999', '1001');
    expect(trade(play, '990', '989', '991', '0.04')).to.include('sell 0.04 at 1000');
    expect(play.orders.map(({ price }) => price)).to.include(parseDecimal('990'));
  });

  it('takes the market as its centre at the first start, and keeps it across restarts', () => {
    const play = begin({ center: '0', levels: 1 });
    expect(settle(play, '499', '501')).to.deep.equal(['buy 0.2 at 495']);
    play.restart();
    expect(settle(play, '399', '401')).to.deep.equal([]);
    expect(play.orders.map(({ price }) => price)).to.deep.equal([parseDecimal('495')]);
    expect(play.saved).to.equal('{"BTCTRY":"500"}');
  });

  it('with room for one order has the rung next to the market, and does not hop', () => {
    const play = begin({}, { maxOpenOrdersPerSymbol: 1 });
    expect(settle(play, '999', '1001')).to.deep.equal(['buy 0.1 at 990']);
    expect(trade(play, '990', '992', '994')).to.deep.equal(['sell 0.1 at 1000']);
    expect(settle(play, '989', '991')).to.deep.equal([]);
    expect(settle(play, '982', '984')).to.deep.equal(['cancel sell 1000', 'buy 0.1 at 980']);
  });

  it('is silent on a book that cannot be believed, and pulls nothing', () => {
    const play = begin();
    settle(play, '999', '1001');
    expect(play.book('900', '901', { trusted: false })).to.deep.equal([]);
  });

  it('does nothing where a rung is too small for the venue, and says so', () => {
    const play = begin({ notional: '5' });
    expect(settle(play, '999', '1001')).to.deep.equal([]);
    expect(play.notes.join()).to.contain('below the least order value');
  });

  it('says so when only its lowest rung is too small for the venue', () => {
    const play = begin({ notional: '12', levels: 4, spacingBps: 1_000 });
    expect(settle(play, '999', '1001')).to.deep.equal([]);
    expect(play.notes.join()).to.contain('lowest rung');
  });

  for (const room of [1, 2])
    it(`with room for ${room} sells a whole rung although the next one holds a part that nobody takes`, () => {
      const play = begin({}, { maxOpenOrdersPerSymbol: room });
      settle(play, '999', '1001');
      trade(play, '990', '979', '981');
      // 0.005 at 990 is worth 4.95, and the venue takes nothing below 10.
      trade(play, '980', '984', '986', '0.005');
      settle(play, '997', '999');
      expect(
        play.orders.some(({ side, price }) => side === 'sell' && price === parseDecimal('1000')),
      ).to.equal(true);
    });

  it('asks for no more rungs than the money pays for', () => {
    const play = begin({}, { balances: { TRY: '105', BTC: '0' } });
    expect(settle(play, '999', '1001')).to.deep.equal(['buy 0.1 at 990']);
  });

  it('trades at the market, within every collar, what the market has left behind in a gap', () => {
    const play = begin();
    play.allow(false);
    play.book('900', '902');
    play.allow(true);
    // One at a time, at what is offered: far from 990, at which a collar would refuse it for ever.
    expect(shape(play.book('900', '902'))).to.deep.equal(['buy 0.1 at 902']);
    play.confirm();
    expect(shape(play.book('900', '902'))).to.deep.equal([]);
    trade(play, '902', '900', '902');
    for (let round = 0; round < 3; round++) trade(play, '902', '900', '902');
    expect(play.position()).to.equal('0.4');
    for (const order of play.orders) expect(order.side).to.equal('sell');
    const risen = begin({ levels: 1 });
    settle(risen, '989', '991');
    risen.allow(false);
    risen.fill(risen.orders[0]!);
    risen.book('1100', '1102');
    risen.allow(true);
    expect(shape(risen.book('1100', '1102'))).to.deep.equal(['sell 0.1 at 1100']);
  });

  it('goes after the market with what it has left behind, one order at a time', () => {
    const play = begin({ levels: 1 });
    settle(play, '980', '982');
    expect(play.orders.map(({ price }) => price)).to.deep.equal([parseDecimal('982')]);
    // Still on its way: a second one would be too much.
    const late = begin({ levels: 1 });
    expect(shape(late.book('980', '982'))).to.deep.equal(['buy 0.1 at 982']);
    expect(shape(late.book('983', '985'))).to.deep.equal([]);
    expect(shape(late.confirm())).to.deep.equal(['cancel buy 982']);
    expect(shape(late.book('983', '985'))).to.deep.equal([]);
    expect(shape(late.endCancels())).to.deep.equal(['buy 0.1 at 985']);
  });

  it('lets the orders of other rungs end before it places its own', () => {
    const play = begin({ levels: 1 }, { balances: { TRY: '10000', BTC: '5' } });
    settle(play, '999', '1001');
    trade(play, '990', '989', '991');
    expect(play.orders.map(({ price }) => price)).to.deep.equal([parseDecimal('1000')]);
    const changed = play.restart({
      parameters: { notional: '100', levels: 1, spacingBps: 100, center: '1100' },
    });
    expect(shape(changed)).to.deep.equal([]);
    expect(shape(play.book('989', '991'))).to.deep.equal(['cancel sell 1000']);
    // It trades all the same: a second sale beside it would sell what was never bought.
    play.fill(play.orders[0]!);
    expect(play.position()).to.equal('0');
    expect(play.orders.map(({ side }) => side)).to.not.include('sell');
  });

  it('takes a ladder of many rungs out of the market, a few at a time', () => {
    const play = begin(
      { levels: 90, spacingBps: 100, notional: '5000' },
      { maxOpenOrders: 90, maxOpenOrdersPerSymbol: 90 },
    );
    for (let round = 0; round < 200; round++) {
      play.book('999', '1001');
      play.confirm();
    }
    expect(play.orders).to.have.length(90);
    play.restart({ parameters: { notional: '5000', levels: 80, spacingBps: 100, center: '900' } });
    for (let round = 0; round < 20; round++) {
      play.book('999', '1001');
      play.after(1_000);
      play.endCancels();
    }
    expect(play.faults).to.deep.equal([]);
    expect(play.orders.length).to.be.greaterThan(0);
    for (const { price } of play.orders) expect(price % parseDecimal('9')).to.equal(0n);
  });

  it('refuses prices that end at zero, and a saved centre that is none', () => {
    expect(() => begin({ levels: 100, spacingBps: 100 })).to.throw('end at zero');
    expect(() => grid.create({} as never).load?.('{"BTCTRY":-1}')).to.throw('not a price');
  });

  it('sells all but a part too small for the venue when the market rises, whatever traded before', () => {
    const acts = fc.array(
      fc.record({
        bid: fc.integer({ min: 940, max: 1_010 }),
        pick: fc.nat(5),
        share: fc.integer({ min: 1, max: 20 }),
        act: fc.constantFrom('fill', 'fill', 'cancels', 'confirm', 'restart'),
      }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(
        acts,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1_000, max: 1_300 }),
        (history, room, top) => {
          const play = begin({}, { balances: { TRY: '1000000', BTC: '0' }, maxOpenOrdersPerSymbol: room });
          for (const { bid, pick, share, act } of history) {
            play.book(String(bid), String(bid + 2));
            if (act === 'confirm') play.confirm();
            if (act === 'cancels') play.endCancels();
            if (act === 'restart') play.restart();
            const own = play.orders[pick];
            if (act === 'fill' && own !== undefined) fillPart(play, own, share, 20);
          }
          for (let round = 0; round < 40; round++) {
            play.after(1_000);
            play.book(String(top), String(top + 2));
            play.confirm();
            play.endCancels();
            for (const order of play.orders)
              if (
                order.side === 'sell' &&
                order.price <= parseDecimal(String(top)) &&
                order.status === 'working'
              )
                play.fill(order);
          }
          expect(parseDecimal(play.position()) * 1_000n < 10n * 10n ** 16n, play.position()).to.equal(true);
          expect(play.faults).to.deep.equal([]);
        },
      ),
      { numRuns: runs(100) },
    );
  });

  it('never holds more than its rungs, never sells what it has not bought, whatever trades', () => {
    const acts = fc.array(
      fc.record({
        bid: fc.integer({ min: 940, max: 1_010 }),
        pick: fc.nat(5),
        share: fc.integer({ min: 1, max: 4 }),
        act: fc.constantFrom('fill', 'cancels', 'confirm', 'restart', 'deny'),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(acts, history => {
        const play = begin({}, { balances: { TRY: '1000000', BTC: '5' } });
        for (const { bid, pick, share, act } of history) {
          play.book(String(bid), String(bid + 2));
          if (act === 'confirm') play.confirm();
          if (act === 'cancels') play.endCancels();
          if (act === 'restart') play.restart();
          if (act === 'deny') play.deny();
          const own = play.orders[pick];
          if (act === 'fill' && own !== undefined) fillPart(play, own, share, 4);
          const held = parseDecimal(play.position());
          expect(held >= 0n, 'sold what it had not bought').to.equal(true);
          expect(held <= parseDecimal('0.4'), 'holds more than its rungs').to.equal(true);
          expect(play.faults).to.deep.equal([]);
        }
      }),
      { numRuns: runs(150) },
    );
  });
});
