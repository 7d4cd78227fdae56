import { expect } from 'chai';
import type { ExecutionState } from '#src/domain/execution.js';
import { initialExecution } from '#src/domain/execution.js';
import { dearestFees } from '#src/domain/fees.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Order, OrderTerms } from '#src/domain/order.js';
import type { ControlState } from '#src/domain/safety.js';
import type { VenueWrite } from '#src/domain/venue-port.js';
import type { Account, AccountOrder } from '#src/exchange/accounts.js';
import { loadSettings } from '#src/runtime/config.js';
import { createInvariants, InvariantViolation } from '#src/simulation/invariants.js';

const TERMS: OrderTerms = {
  symbol: 'BTCTRY',
  side: 'buy',
  method: 'limit',
  price: parseDecimal('3750000'),
  quantity: parseDecimal('0.001'),
  quoteQuantity: null,
  stopPrice: null,
};
const LABEL = 'bb-1-1-maker-1';
const submit: VenueWrite = { type: 'submit', clientOrderId: LABEL, terms: TERMS };
const cancel: VenueWrite = { type: 'cancel', clientOrderId: LABEL, venueOrderId: '1' };

const order = (clientOrderId: string): Order => ({
  clientOrderId,
  intentId: `intent-${clientOrderId}`,
  strategy: 'maker',
  terms: TERMS,
  configHash: '',
  cause: 'market-data:1:1',
  intendedAtMs: 1,
  sentAtMs: 2,
  settledAtMs: null,
  state: { status: 'working', venueOrderId: '1', filled: 0n },
});

/** An order as the exchange's account has it, reduced to what is looked at. */
const atVenue = (orderId: number, over: Partial<AccountOrder> = {}): AccountOrder =>
  ({
    orderId,
    clientOrderId: LABEL,
    symbol: 'BTCTRY',
    remaining: TERMS.quantity,
    ...over,
  }) as AccountOrder;

/** A world of four facts, each of which a test may change. */
const begin = () => {
  const loaded = loadSettings({
    env: { VENUE: 'paper', MAX_OPEN_ORDERS: '2', MAX_OPEN_ORDERS_PER_SYMBOL: '2' },
    cwd: '/',
    readFile: () => '',
    nowMs: 0,
  });
  if (!loaded.ok) throw new Error('the settings are refused');
  const facts = {
    nowMs: 1_000,
    control: {
      maySubmit: true,
      mayCancel: true,
      blockedSymbols: [] as readonly string[],
      state: 'live',
    } as ControlState | null,
    orders: [] as readonly AccountOrder[],
    execution: null as ExecutionState | null,
  };
  const invariants = createInvariants({
    settings: () => loaded.settings,
    monoMs: () => facts.nowMs,
    control: () => facts.control,
    account: () => {
      const orders = new Map(facts.orders.map(each => [each.orderId, each]));
      return { orders, open: orders } as unknown as Account;
    },
  });
  invariants.onLease(2_000);
  invariants.execution.onIncarnation(() => facts.execution);
  const journal = (clientOrderId = LABEL, reply = 'appended'): void => {
    const records = [{ type: 'order-intended', order: order(clientOrderId) }];
    invariants.onMessage('execution', 'ledger', { type: 'append', batch: 1, durable: true, records });
    invariants.onMessage('ledger', 'execution', { type: reply, batch: 1, reason: '' });
  };
  const knows = (...labels: readonly string[]): void => {
    facts.execution = initialExecution(
      {
        symbols: ['BTCTRY'],
        limits: loaded.settings.risk,
        maxMarketDataAgeMs: 5_000,
        feesOf: dearestFees,
        configHash: '',
        instance: '1',
        epoch: 1,
        incarnation: 1,
        budget: { writesPerSecond: 8, writeBurst: 8, cold: false },
        shutdownOpenOrders: 'leave',
      },
      { openOrders: labels.map(order), fills: [] },
      { monoMs: 0, wallMs: 0 },
    );
  };
  return { facts, invariants, journal, knows };
};

describe('the invariants', () => {
  it('let a journaled order leave, rest and be canceled', () => {
    const { facts, invariants, journal, knows } = begin();
    journal();
    invariants.execution.onWrite(submit);
    facts.orders = [atVenue(1)];
    knows(LABEL);
    invariants.check();
    invariants.execution.onWrite(cancel);
  });

  const broken: readonly (readonly [
    words: string,
    breakIt: (world: ReturnType<typeof begin>) => void,
    message: string,
  ])[] = [
    [
      'a submit before its intent',
      ({ invariants }) => invariants.execution.onWrite(submit),
      'before its intent',
    ],
    [
      'a submit whose intent was refused by the disk',
      ({ invariants, journal }) => {
        journal(LABEL, 'append-failed');
        invariants.execution.onWrite(submit);
      },
      'before its intent',
    ],
    [
      'a second submit',
      ({ invariants, journal }) => {
        journal();
        invariants.execution.onWrite(submit);
        invariants.execution.onWrite(submit);
      },
      'a second time',
    ],
    [
      'a submit in a forbidden state',
      ({ facts, invariants, journal }) => {
        journal();
        facts.control = { ...facts.control, maySubmit: false, state: 'cancel-only' } as ControlState;
        invariants.execution.onWrite(submit);
      },
      'in state cancel-only',
    ],
    [
      'a submit on a blocked symbol',
      ({ facts, invariants, journal }) => {
        journal();
        facts.control = { ...facts.control, blockedSymbols: ['BTCTRY'] } as ControlState;
        invariants.execution.onWrite(submit);
      },
      'BTCTRY is blocked',
    ],
    [
      'a cancel in observe-only',
      ({ facts, invariants }) => {
        facts.control = { ...facts.control, mayCancel: false, state: 'observe-only' } as ControlState;
        invariants.execution.onWrite(cancel);
      },
      'leaves in state observe-only',
    ],
    [
      'a write after the lease, also while the supervisor stands still',
      ({ facts, invariants, journal }) => {
        journal();
        facts.control = null;
        facts.nowMs = 2_000;
        invariants.execution.onWrite(submit);
      },
      'after the lease ended',
    ],
    [
      'an order at the venue that was never sent',
      ({ facts, invariants }) => {
        facts.orders = [atVenue(1)];
        invariants.check();
      },
      'was never sent',
    ],
    [
      'two orders at the venue for one intent',
      ({ facts, invariants, journal }) => {
        journal();
        invariants.execution.onWrite(submit);
        facts.orders = [atVenue(1), atVenue(2)];
        invariants.check();
      },
      'two orders for',
    ],
    [
      'an open order that execution does not count',
      ({ facts, invariants, journal, knows }) => {
        journal();
        invariants.execution.onWrite(submit);
        facts.orders = [atVenue(1)];
        knows();
        invariants.check();
      },
      'not counted by execution',
    ],
    [
      'an open order that execution counts too low',
      ({ facts, invariants, journal, knows }) => {
        journal();
        invariants.execution.onWrite(submit);
        facts.orders = [atVenue(1, { remaining: TERMS.quantity + 1n })];
        knows(LABEL);
        invariants.check();
      },
      'counts less of',
    ],
    [
      'more open orders than allowed',
      ({ facts, invariants, journal, knows }) => {
        const labels = [1, 2, 3].map(each => `bb-1-1-maker-${each}`);
        for (const clientOrderId of labels) {
          journal(clientOrderId);
          invariants.execution.onWrite({ ...submit, clientOrderId } as VenueWrite);
        }
        knows(...labels);
        facts.orders = labels.map((clientOrderId, index) => atVenue(index, { clientOrderId }));
        invariants.check();
      },
      '3 orders are open',
    ],
  ];
  for (const [words, breakIt, message] of broken)
    it(`notice ${words}`, () => {
      expect(() => breakIt(begin())).to.throw(InvariantViolation, message);
    });

  it('leave orders of others alone', () => {
    const { facts, invariants, knows } = begin();
    knows();
    facts.orders = [1, 2, 3].map(each => atVenue(each, { clientOrderId: 'by-hand' }));
    invariants.check();
  });

  it('do not take the answer to a former incarnation for one to this', () => {
    const { invariants } = begin();
    const records = [{ type: 'order-intended', order: order(LABEL) }];
    invariants.onMessage('execution', 'ledger', { type: 'append', batch: 1, durable: true, records });
    invariants.execution.onIncarnation(() => null);
    invariants.onMessage('ledger', 'execution', { type: 'appended', batch: 1 });
    expect(() => invariants.execution.onWrite(submit)).to.throw(InvariantViolation, 'before its intent');
  });
});
