/** What the market-data brain keeps an eye on while all is well: the venue's list, and a trade channel that has gone quiet. */
import { expect } from 'chai';
import {
  INSTRUMENTS_DEADLINE_MS,
  INSTRUMENTS_INTERVAL_MS,
  LEAVE_DEADLINE_MS,
  NOT_LISTED,
} from '#src/domain/market-data-state.js';
import { UNHEARD_TRADE_MS } from '#src/domain/trade-silence.js';
import {
  BTC,
  books,
  ETH,
  type MarketRun,
  runMarket,
  socketEffects,
  statuses,
  subscriptions,
  told,
} from './market-run.js';
import { fullFrame, tickerFrame, tradeFrame, type Window } from './venue-feed.js';

const B = BTC.symbol;
const BOOK: Window = { bids: [[9_999, 5]], asks: [[10_001, 1]] };

/** A ticker that also says what was traded. */
const ticker = (last: string, volume: string, symbol = B): string => {
  const [model, fields] = JSON.parse(tickerFrame(symbol, BOOK)) as [number, object];
  return JSON.stringify([model, { ...fields, LA: last, V: volume }]);
};
const tape = (symbol = B): string =>
  JSON.stringify([421, { symbol, items: [], channel: 'trade', event: symbol, type: 421 }]);

const live = (instruments = [BTC]): MarketRun => {
  const run = runMarket(instruments);
  run.connect();
  for (const { symbol } of instruments)
    run.frames(
      fullFrame(symbol, 10, BOOK),
      fullFrame(symbol, 10, BOOK, 'orderbook'),
      ticker('100.00', '5', symbol),
      tape(symbol),
    );
  run.forget();
  return run;
};
/** Waits as a venue lets one wait: the ticker repeats itself. */
const wait = (run: MarketRun, ms: number, text = ticker('100.00', '5')): void => {
  let lastMs = run.monoMs;
  run.wait(ms, () => {
    if (run.monoMs - lastMs < 750) return;
    lastMs = run.monoMs;
    run.frames(text);
  });
};
const types = (run: MarketRun): readonly string[] => run.effects.map(({ type }) => type);
const listings = (run: MarketRun) =>
  told(run.effects).flatMap(message => (message.type === 'instruments-listed' ? [message.instruments] : []));

describe('the list of instruments', () => {
  it('is asked for once an interval, and again when the answer does not come', () => {
    const run = live();
    wait(run, INSTRUMENTS_INTERVAL_MS - 1_500);
    expect(types(run)).to.not.include('read-instruments');
    wait(run, 2_000);
    expect(types(run).filter(type => type === 'read-instruments')).to.have.length(1);
    wait(run, INSTRUMENTS_DEADLINE_MS);
    expect(types(run).filter(type => type === 'read-instruments')).to.have.length(1);
    wait(run, INSTRUMENTS_INTERVAL_MS);
    expect(types(run).filter(type => type === 'read-instruments')).to.have.length(2);
  });

  it('is told to nobody while it is as it was, or cannot be read', () => {
    const run = live();
    run.step({ type: 'instruments-read', instruments: [{ ...BTC, methods: [...BTC.methods].reverse() }] });
    run.step({ type: 'instruments-read', instruments: null });
    expect(listings(run)).to.deep.equal([]);
    expect(types(run)).to.not.include('instruments-changed');
  });

  for (const [title, change] of [
    ['its limit prices', { minLimitPrice: 1n, maxLimitPrice: 2n }],
    ['its least order value', { minNotional: 3n }],
    ['its methods', { methods: ['limit'] }],
    ['its status', { status: 'HALTED' }],
  ] as const)
    it(`reaches whoever listens, and whoever comes later, when a pair changes ${title}`, () => {
      const run = live();
      run.step({ type: 'instruments-read', instruments: [{ ...BTC, ...change }] });
      expect(listings(run)).to.deep.equal([[{ ...BTC, ...change }]]);
      expect(statuses(run.effects)).to.deep.equal([]);
      run.forget();
      run.step({ type: 'listener-joined', listener: 'strategy' });
      expect(listings(run)).to.deep.equal([[{ ...BTC, ...change }]]);
    });

  it('calls a pair that is gone not listed, and takes it back when it returns', () => {
    const run = live([BTC, ETH]);
    run.step({ type: 'instruments-read', instruments: [ETH] });
    run.step({ type: 'instruments-read', instruments: [ETH, BTC] });
    expect(listings(run)).to.deep.equal([
      [{ ...BTC, status: NOT_LISTED }, ETH],
      [BTC, ETH],
    ]);
    expect(run.effects.flatMap(effect => (effect.type === 'log' ? [effect.event] : []))).to.deep.equal([
      'instrument-status-changed',
      'instrument-status-changed',
    ]);
  });

  it('empties a book whose ticks have another size now, before anybody is told the new size', () => {
    const run = live();
    run.step({ type: 'instruments-read', instruments: [{ ...BTC, priceScale: 3 }] });
    const messages = told(run.effects).map(message => message.type);
    expect(messages).to.deep.equal(['feed-status-changed', 'instruments-listed', 'book-updated']);
    const [book] = books(run.effects);
    expect([book?.trusted, [...(book?.levels ?? [])]]).to.deep.equal([false, [0, 0]]);
    expect(subscriptions(run.effects)).to.deep.equal([`-obdiff:${B}`]);
    const changed = run.effects.find(effect => effect.type === 'instruments-changed');
    expect(changed).to.have.nested.property('instruments[0].priceScale', 3);
  });
});

describe('a trade channel that has gone quiet', () => {
  it('is left alone for ever when nothing shows a trade', () => {
    const run = live();
    wait(run, 20 * 60_000);
    expect(subscriptions(run.effects)).to.deep.equal([]);
    expect(socketEffects(run.effects)).to.deep.equal([]);
  });

  it('is left alone when the volume of the day falls', () => {
    const run = live();
    wait(run, 60_000, ticker('100.00', '4.9'));
    expect(subscriptions(run.effects)).to.deep.equal([]);
  });

  for (const [title, text] of [
    ['the last price', ticker('100.01', '5')],
    ['the volume', ticker('100.00', '5.1')],
  ] as const)
    it(`is joined again when ${title} shows a trade that it did not bring`, () => {
      const run = live();
      wait(run, 10_000);
      wait(run, UNHEARD_TRADE_MS + 2_000, text);
      expect(subscriptions(run.effects)[0]).to.equal(`-trade:${B}`);
      expect(socketEffects(run.effects)).to.deep.equal([]);
      run.frames(tape());
      wait(run, LEAVE_DEADLINE_MS);
      expect(subscriptions(run.effects)).to.deep.equal([`-trade:${B}`, `+trade:${B}`]);
    });

  it('is no alarm when the trade comes a little before or after the ticker that shows it', () => {
    const run = live();
    for (let round = 1; round <= 40; round++) {
      const text = ticker(`100.${String(round).padStart(2, '0')}`, '5');
      if (round % 2 === 0) run.frames(tradeFrame(B, `t${round}`, '100.00'));
      wait(run, UNHEARD_TRADE_MS / 2, text);
      if (round % 2 === 1) run.frames(tradeFrame(B, `t${round}`, '100.00'));
      wait(run, 4_000, text);
    }
    expect(subscriptions(run.effects)).to.deep.equal([]);
  });

  it('replaces the socket when joining it again does not help', () => {
    const run = live();
    wait(run, 10_000);
    for (let round = 1; socketEffects(run.effects).length === 0 && round < 20; round++) {
      wait(run, UNHEARD_TRADE_MS + 2_000, ticker('100.00', String(5 + round)));
      // The replay after a join comes, what follows does not.
      run.frames(tape());
      wait(run, 6_000, ticker('100.00', String(5 + round)));
    }
    expect(socketEffects(run.effects)[0]).to.equal('close-socket');
    expect(subscriptions(run.effects).filter(text => text === `-trade:${B}`)).to.have.length(2);
  });
});
