import { expect } from 'chai';
import type { AccountReport } from '#src/domain/account-events.js';
import { roundQuantity } from '#src/domain/instrument.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Order, OrderTerms } from '#src/domain/order.js';
import { label, newOrder } from '../domain/reconciliation/bench.js';
import { KEY, type Stage, setStage, setStageOn, WRONG_KEY } from './reconciliation-thread.js';

/** A limit order that trades at once, or rests far away. */
const termsOf = async (stage: Stage, kind: 'crossing' | 'resting'): Promise<OrderTerms> => {
  const ticker = await stage.rest.read({ type: 'ticker', symbol: 'BTCTRY' });
  if (!ticker.ok || ticker.value === null) throw new Error('no prices');
  const { ask, bid } = ticker.value;
  const price = kind === 'crossing' ? (ask * 102n) / 100n : (bid * 95n) / 100n;
  return {
    symbol: 'BTCTRY',
    side: 'buy',
    method: 'limit',
    price: (price / parseDecimal('1')) * parseDecimal('1'),
    quantity: roundQuantity(parseDecimal('0.0002'), stage.instrument, 'down'),
    quoteQuantity: null,
    stopPrice: null,
  };
};

/** Sends an order as execution would, and tells of it as far as `known` says. */
const submit = async (stage: Stage, sequence: number, kind: 'crossing' | 'resting'): Promise<Order> => {
  const terms = await termsOf(stage, kind);
  const nowMs = Date.now();
  const order = newOrder(label(sequence), terms, { status: 'in-flight', sentAtMs: nowMs }, nowMs);
  stage.ledger.orders.set(order.clientOrderId, order);
  stage.track(order);
  const outcome = await stage.rest.write(
    { type: 'submit', clientOrderId: order.clientOrderId, terms },
    stage.instrument,
    { beforeBytes: () => null, signal: new AbortController().signal },
  );
  const known: Order =
    outcome.type === 'confirmed'
      ? { ...order, state: { status: 'working', venueOrderId: outcome.venueOrderId, filled: 0n } }
      : { ...order, state: { status: 'unknown', sinceMs: nowMs, cause: 'timeout', filled: 0n } };
  stage.ledger.orders.set(order.clientOrderId, known);
  stage.track(known);
  return known;
};

const reports = <T extends AccountReport['type']>(stage: Stage, type: T) =>
  stage.told.filter(
    (message): message is Extract<AccountReport, { readonly type: T }> => message.type === type,
  );

const recovered = (stage: Stage): Promise<void> =>
  stage.until('recovery', () => reports(stage, 'reconciled').some(message => message.clean));

/** What the ledger's books come to, from the opening and the fills alone. */
const booksOf = (stage: Stage): Map<string, bigint> => {
  const totals = new Map(
    (stage.ledger.opening?.balances ?? []).map(balance => [balance.asset, balance.total]),
  );
  for (const fill of stage.ledger.fills.values()) {
    const value = (fill.price * fill.quantity) / 10n ** 16n;
    const sign = fill.side === 'buy' ? 1n : -1n;
    totals.set('BTC', (totals.get('BTC') ?? 0n) + sign * fill.quantity);
    totals.set('TRY', (totals.get('TRY') ?? 0n) - sign * value - fill.fee - fill.tax);
  }
  return totals;
};

describe('the reconciliation worker against the embedded exchange', () => {
  const stages: Stage[] = [];
  const leftOver: Stage['exchange'][] = [];
  const open = async (...options: Parameters<typeof setStage>): Promise<Stage> => {
    const stage = await setStage(...options);
    stages.push(stage);
    return stage;
  };
  const close = async (stage: Stage): Promise<number> => {
    stages.splice(stages.indexOf(stage), 1);
    leftOver.push(stage.exchange);
    return stage.close();
  };
  afterEach(async () => {
    for (const stage of [...stages]) await close(stage);
    for (const exchange of new Set(leftOver.splice(0))) await exchange.close();
  });

  it('opens the ledger, lets trading start, books what is traded and leaves the books equal to the account', async () => {
    const stage = await open();
    await recovered(stage);
    await stage.until('the starting hold cleared', () =>
      stage.said.some(message => message.type === 'hold-cleared' && message.holdCause === 'starting'),
    );
    await stage.until(
      'the private feed',
      () => stage.logs.filter(event => event === 'private-feed').length >= 3,
    );
    const order = await submit(stage, 1, 'crossing');
    await stage.until('the fill', () =>
      reports(stage, 'fill-booked').some(fill => fill.orderFilled === order.terms.quantity),
    );
    expect(await close(stage)).to.equal(0);
    const account = stage.exchange.account(KEY.apiKey);
    for (const asset of ['TRY', 'BTC']) {
      const venue = stage.ledger.balances?.find(balance => balance.asset === asset)?.total;
      expect(booksOf(stage).get(asset), asset).to.equal(venue);
    }
    expect(stage.ledger.fills.size).to.equal(account.trades.length);
    expect(account.trades.length).to.be.greaterThan(0);
    expect(stage.holds()).to.deep.equal([]);
  });

  it('finds an order whose submit was never answered, and its fills', async () => {
    const stage = await open();
    await recovered(stage);
    stage.fault('accept-then-reset,count=1');
    const order = await submit(stage, 1, 'crossing');
    expect(order.state.status).to.equal('unknown');
    stage.ask(order.clientOrderId);
    await stage.until('the order and its fills', () =>
      reports(stage, 'fill-booked').some(fill => fill.orderFilled === order.terms.quantity),
    );
    const shown = [...reports(stage, 'order-reported'), ...reports(stage, 'order-hinted')];
    expect(shown.some(message => message.clientOrderId === order.clientOrderId)).to.equal(true);
  });

  it('books by the trades endpoint when the private feed loses every frame', async () => {
    const stage = await open();
    stage.fault('drop-private');
    await recovered(stage);
    const order = await submit(stage, 1, 'crossing');
    await stage.until('the fill', () =>
      reports(stage, 'fill-booked').some(fill => fill.orderFilled === order.terms.quantity),
    );
    expect(reports(stage, 'order-hinted').filter(hint => hint.hint === 'inserted')).to.deep.equal([]);
  });

  it('calls nothing a difference while the venue is merely late and stale, and sees one that is real', async () => {
    const stage = await open();
    await recovered(stage);
    stage.fault('late-trades=800');
    stage.fault('stale-balances=800');
    stage.fault('duplicate-423');
    const order = await submit(stage, 1, 'crossing');
    await stage.until('the fill', () =>
      reports(stage, 'fill-booked').some(fill => fill.orderFilled === order.terms.quantity),
    );
    const before = reports(stage, 'reconciled').length;
    await stage.until('two further clean passes', () => reports(stage, 'reconciled').length >= before + 2);
    expect(reports(stage, 'reconciled').every(message => message.clean)).to.equal(true);
    expect(stage.holds()).to.deep.equal([]);
    stage.fault('wrong-balance=0.00000001');
    await stage.until('the hold and its reason', () => {
      const said = reports(stage, 'reconciled').at(-1)?.discrepancies.join() ?? '';
      return stage.holds().includes('invariant:account') && said.includes("ledger's is 0.00000001");
    });
  });

  it('recovers what a killed run left behind', async () => {
    const first = await open();
    await recovered(first);
    const resting = await submit(first, 1, 'resting');
    await first.until('it on the book', () => reports(first, 'order-hinted').length > 0);
    // The exchange lives on; only the bot's memory is what the ledger has.
    const again = await setStageOn(first.exchange, first.ledger);
    stages.push(again);
    await recovered(again);
    await again.until('the order', () =>
      reports(again, 'order-reported').some(message => message.clientOrderId === resting.clientOrderId),
    );
  });

  it('only observes without a key, and ends at once', async () => {
    const stage = await open(null);
    await stage.until('its status', () =>
      stage.said.some(message => message.type === 'status-reported' && message.facts.phase === 'observing'),
    );
    expect(await close(stage)).to.equal(0);
    expect(stage.told).to.deep.equal([]);
    expect(stage.logs).to.include('observing-only');
  });

  it('stops asking with a key that the venue refuses, long before the address is blocked', async () => {
    const stage = await open(WRONG_KEY);
    await stage.until('the hold', () => stage.holds().includes('auth:reads'));
    expect(stage.logs.filter(event => event === 'read-failed').length).to.be.lessThan(12);
    expect(await close(stage)).to.equal(0);
  });
});
