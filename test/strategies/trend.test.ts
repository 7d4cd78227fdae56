import { expect } from 'chai';
import fc from 'fast-check';
import { dearestFees } from '#src/domain/fees.js';
import { notional, parseDecimal } from '#src/domain/money.js';
import { initialStrategyHost, type StrategyHostInput, stepStrategyHost } from '#src/domain/strategy-host.js';
import { checkParameters } from '#src/domain/strategy-parameters.js';
import { trend } from '#src/strategies/trend.js';
import { type Rehearsal, rehearse, type Shown } from '#src/testing.js';
import { runs } from '../runs.js';
import { account, BTCTRY, bookEvent, bookOf, control, filledFor, listed } from './fixtures.js';

/** Small periods: warm after nine candles. */
const SMALL = { interval: '1m', fast: 2, slow: 3, channel: 3, atrPeriod: 2, stopAtr: 2, notional: '1000' };

const begin = (parameters: Record<string, unknown> = {}): Rehearsal =>
  rehearse(trend, { parameters: { ...SMALL, ...parameters } });

const shape = (shown: readonly Shown[]): string[] =>
  shown.map(one =>
    one.type === 'place' ? `${one.side} ${one.quantity} at ${one.price} ${one.tag}` : `cancel ${one.side}`,
  );

/** Closed candles at these prices, and a book around each. */
const closes = (play: Rehearsal, ...prices: readonly number[]): string[] =>
  prices.flatMap(price => {
    play.book(String(price - 0.5), String(price + 0.5));
    return shape(play.candle(String(price), { high: String(price + 1), low: String(price - 1) }));
  });
const settle = (play: Rehearsal): string[] => {
  play.confirm();
  return play.orders.flatMap(order => shape(play.fill(order)));
};
const FALL = [110, 109, 108, 107, 106, 105, 104, 103, 102, 101, 100];

describe('trend', () => {
  it('asks for nothing before its warm-up is over, and shows how far that is', () => {
    const play = begin();
    expect(play.status).to.include({ state: 'warming up', warmUp: 'BTCTRY 1m: 0 of 9 candles' });
    expect(closes(play, 100, 90, 120, 80, 130, 70, 140, 60)).to.deep.equal([]);
    expect(play.status).to.include({ warmUp: 'BTCTRY 1m: 8 of 9 candles' });
    closes(play, 100);
    expect(play.status).to.include({ state: 'running' });
  });

  it('enters when the fast average crosses above the slow one, at most a slip above the offer', () => {
    const play = begin();
    expect(closes(play, ...FALL)).to.deep.equal([]);
    expect(closes(play, 110)).to.deep.equal(['buy 9.04077389 at 110.61 cross-up']);
    expect(settle(play)).to.deep.equal([]);
    expect(closes(play, 112, 114)).to.deep.equal([]);
  });

  it('leaves when the averages cross back, with all it holds', () => {
    const play = begin({ stopAtr: 50 });
    closes(play, ...FALL, 110);
    settle(play);
    closes(play, 112);
    const left = closes(play, 100);
    expect(left).to.have.length(1);
    expect(left[0]).to.match(/^sell 9\.04077389 at .* cross-down$/);
    settle(play);
    expect(play.position()).to.equal('0');
    expect(closes(play, 94, 93)).to.deep.equal([]);
  });

  it('raises its stop with the highest close, and never lowers it', () => {
    const play = begin({ stopAtr: 20 });
    closes(play, ...FALL, 110);
    settle(play);
    const stopAfter = (price: number): number => {
      closes(play, price);
      play.after(30_000);
      const [{ stop = '' } = {}] = JSON.parse(play.saved ?? '[]') as { stop: string }[];
      return Number(stop);
    };
    const stops = [111, 112, 113, 112.5, 114].map(stopAfter);
    expect(stops).to.deep.equal([...stops].sort((one, other) => one - other));
    expect(stops[4]).to.be.greaterThan(stops[0] ?? 0);
  });

  it('sells what it holds when the bid reaches the stop', () => {
    const play = begin({ stopAtr: 1 });
    closes(play, ...FALL, 110);
    settle(play);
    closes(play, 120, 130);
    play.after(30_000);
    const [{ stop = '' } = {}] = JSON.parse(play.saved ?? '[]') as { stop: string }[];
    const bid = (Math.floor(Number(stop)) - 1).toFixed(2);
    const shown = shape(play.book(bid, String(Number(bid) + 1)));
    expect(shown).to.have.length(1);
    expect(shown[0]).to.match(/^sell .* stop$/);
  });

  it('has a stop from its entry on, not only from the next candle', () => {
    const play = begin({ stopAtr: 1 });
    closes(play, ...FALL, 110);
    settle(play);
    // A true range of 6.5 below 110.
    expect(shape(play.book('104', '105'))).to.deep.equal([]);
    expect(shape(play.book('103', '104'))[0]).to.match(/^sell .* stop$/);
  });

  it('sells nothing at a restart for what the history of its warm-up shows', () => {
    const checked = checkParameters(trend, { ...SMALL, stopAtr: 50 });
    if (!checked.ok) throw new Error(checked.problems.join());
    const atMs = 1_790_121_600_000;
    const position = filledFor('trend', 'BTCTRY', '1');
    const state = initialStrategyHost({
      definition: trend,
      parameters: checked.values,
      symbols: ['BTCTRY'],
      incarnation: 1,
      startedAt: { monoMs: 1, wallMs: atMs },
      intentValidityMs: 1_000,
      maxOpenOrders: 5,
      maxOpenOrdersPerSymbol: 2,
      feesOf: dearestFees,
      candleHistory: true,
      restored: {
        saved: '[{"symbol":"BTCTRY","peak":"112","stop":"20","leaving":null}]',
        openOrders: [],
        fills: position.fill === null ? [] : [position.fill],
      },
    });
    const step = (monoMs: number, ...inputs: readonly StrategyHostInput[]) =>
      inputs.flatMap(input => stepStrategyHost(state, input, { monoMs, wallMs: atMs + monoMs }).effects);
    const asked = step(1, control(), listed(BTCTRY), account({ TRY: '1000', BTC: '1' }), { type: 'tick' });
    const wish = asked.find(effect => effect.type === 'tell' && effect.to === 'market-data');
    const prices = [130, 128, 126, 124, 122, 106, 105, 104, 103, 104, 110, 112];
    const candles = prices.map((price, index) => {
      const openAtMs = atMs - (prices.length - index) * 60_000;
      const [open, high, low, close] = [price, price + 1, price - 1, price].map(each =>
        parseDecimal(String(each)),
      ) as [bigint, bigint, bigint, bigint];
      const kind = { symbol: 'BTCTRY', interval: '1m', closed: true, complete: true } as const;
      return { ...kind, openAtMs, closeAtMs: openAtMs + 60_000, open, high, low, close, volume: 1n };
    });
    const read = { type: 'candles-read', id: 'x', symbol: 'BTCTRY', interval: '1m', problem: null } as const;
    const book = bookOf(BTCTRY, [['112', '9000']], [['113', '9000']]);
    const cause = wish?.type === 'tell' ? wish.message.id : '';
    const effects = step(2, { ...read, cause, candles }, bookEvent(book), { type: 'tick' });
    expect(effects.filter(effect => effect.type === 'tell' && effect.to === 'execution')).to.deep.equal([]);
    const saved = step(3, { type: 'stopping' }).find(effect => effect.type === 'append');
    expect(saved, 'the stop is as it was').to.equal(undefined);
  });

  it('says so when what it holds has become too little for the venue to take', () => {
    const play = begin({ stopAtr: 1, notional: '10.5' });
    closes(play, ...FALL, 110);
    settle(play);
    expect(shape(play.book('99', '100'))).to.deep.equal([]);
    expect(play.notes.join()).to.contain('least order value');
  });

  it('says so when what it bought is not in the account any more', () => {
    const play = begin({ stopAtr: 1 });
    closes(play, ...FALL, 110);
    settle(play);
    play.balances({ BTC: '0' });
    expect(shape(play.book('90', '91'))).to.deep.equal([]);
    expect(play.notes).to.deep.equal([]);
    expect(shape(play.after(61_000))).to.deep.equal([]);
    expect(play.notes.join()).to.contain('cannot sell');
  });

  it('enters on a close above the channel, and leaves below half of it', () => {
    const play = begin({ signal: 'breakout', stopAtr: 50 });
    closes(play, ...FALL);
    expect(closes(play, 110)).to.deep.equal(['buy 9.04077389 at 110.61 breakout-up']);
    settle(play);
    const left = closes(play, 111, 100);
    expect(left.at(-1)).to.match(/^sell .* breakout-down$/);
  });

  it('asks again at the new price when an order has not traded, and gives up an entry after one more candle', () => {
    const play = begin();
    closes(play, ...FALL, 110);
    play.confirm();
    expect(shape(play.after(10_000))).to.deep.equal(['cancel buy']);
    play.endCancels();
    play.book('111', '112');
    expect(play.orders).to.have.length(1);
    play.confirm();
    play.after(10_000);
    play.endCancels();
    play.after(60_000);
    play.endCancels();
    expect(play.after(60_000)).to.deep.equal([]);
    expect(play.orders).to.deep.equal([]);
  });

  it('goes by the candle where there is no book at all', () => {
    const play = begin();
    for (const price of FALL) play.candle(String(price), { high: String(price + 1), low: String(price - 1) });
    expect(shape(play.candle('110', { high: '111', low: '109' }))).to.deep.equal([
      'buy 9.08182726 at 110.11 cross-up',
    ]);
  });

  it('does not enter what the universe leaves out', () => {
    const play = rehearse(trend, {
      parameters: SMALL,
      universe: {
        minVolume: null,
        maxSpreadBps: null,
        minAgeMs: 0,
        allow: null,
        deny: ['BTCTRY'],
        cooldownMs: 0,
        maxSymbols: null,
      },
    });
    play.tickers([{ symbol: 'BTCTRY', bid: '99', ask: '101', last: '100', volume: '1' }]);
    expect(closes(play, ...FALL, 110, 120)).to.deep.equal([]);
  });

  it('keeps its stop across a restart, and refuses a state it did not write', () => {
    const play = begin();
    closes(play, ...FALL, 110);
    settle(play);
    closes(play, 120);
    play.restart();
    const [{ peak, stop } = {}] = JSON.parse(play.saved ?? '[]') as { peak: string; stop: string }[];
    expect([peak, Number(stop) > 0]).to.deep.equal(['120', true]);
    for (const saved of ['{}', '[{}]', '[{"symbol":"A","peak":"-1","stop":null,"leaving":null}]'])
      expect(() => trend.create({} as never).load?.(saved), saved).to.throw();
  });

  it('never asks for more than its notional, never sells more than it holds, in any market', () => {
    const acts = fc.array(
      fc.record({
        price: fc.integer({ min: 50, max: 150 }),
        act: fc.constantFrom('fill', 'cancels', 'confirm', 'deny', 'wait', 'restart', 'none'),
      }),
      { minLength: 12, maxLength: 40 },
    );
    fc.assert(
      fc.property(acts, fc.constantFrom('cross', 'breakout'), (history, signal) => {
        const play = begin({ signal });
        for (const { price, act } of history) {
          const held = parseDecimal(play.position());
          play.book(String(price - 0.5), String(price + 0.5));
          const shown = [
            ...play.candle(String(price), { high: String(price + 2), low: String(price - 2) }),
            ...(act === 'wait' ? play.after(11_000) : []),
          ];
          for (const intent of shown) {
            if (intent.type !== 'place') continue;
            const quantity = parseDecimal(intent.quantity);
            if (intent.side === 'sell') expect(quantity <= held).to.equal(true);
            else
              expect(notional(parseDecimal(intent.price), quantity) <= parseDecimal('1000.1')).to.equal(true);
          }
          if (act === 'confirm') play.confirm();
          if (act === 'fill') settle(play);
          if (act === 'cancels') play.endCancels();
          if (act === 'deny') play.deny();
          if (act === 'restart') play.restart();
          expect(parseDecimal(play.position()) >= 0n).to.equal(true);
          expect(play.faults).to.deep.equal([]);
        }
      }),
      { numRuns: runs(100) },
    );
  });
});
