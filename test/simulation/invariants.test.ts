import { expect } from 'chai';
import type { ExecutionState } from '#src/domain/execution.js';
import { initialExecution } from '#src/domain/execution.js';
import { dearestFees } from '#src/domain/fees.js';
import type { WriteApproval } from '#src/domain/fence.js';
import { parseDecimal } from '#src/domain/money.js';
import type { Order, OrderTerms } from '#src/domain/order.js';
import type { ControlState } from '#src/domain/safety.js';
import type { ActorName } from '#src/domain/step.js';
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
const APPROVAL: WriteApproval = {
  epoch: 1,
  validUntilMonoMs: Number.POSITIVE_INFINITY,
  journaled: true,
  origin: 'strategy',
};
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
      holds: [] as ControlState['holds'],
      state: 'live',
      epoch: 1,
    } as ControlState | null,
    orders: [] as readonly AccountOrder[],
    money: parseDecimal('1000000'),
    execution: null as ExecutionState | null,
  };
  const invariants = createInvariants({
    settings: () => loaded.settings,
    monoMs: () => facts.nowMs,
    control: () => facts.control,
    account: () => {
      const orders = new Map(facts.orders.map(each => [each.orderId, each]));
      const holdings = new Map([['TRY', { total: facts.money, locked: 0n }]]);
      return { orders, open: orders, holdings, trades: [] } as unknown as Account;
    },
  });
  invariants.onLease(2_000);
  invariants.execution.onIncarnation(() => facts.execution);
  const hear = (from: ActorName, message: unknown): void => invariants.onMessage(from, 'execution', message);
  hear('reconciliation', { type: 'reconciled', clean: true });
  hear('market-data', { type: 'book-updated', book: { symbol: 'BTCTRY', receivedMonoMs: 900 } });
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
      { openOrders: labels.map(order), fills: [], cancelWishes: [], recentOrders: [] },
      { monoMs: 0, wallMs: 0 },
    );
  };
  return { facts, invariants, journal, knows, hear };
};

/** Lets a first order of ours leave; it is on its way. */
const sendFirst = ({ invariants, journal, knows }: ReturnType<typeof begin>, terms = TERMS): void => {
  journal();
  invariants.execution.onWrite({ ...submit, terms } as VenueWrite, APPROVAL);
  knows(LABEL);
};
const second = (over: Partial<OrderTerms> = {}): VenueWrite => ({
  type: 'submit',
  clientOrderId: 'bb-1-1-maker-2',
  terms: { ...TERMS, ...over },
});

describe('the invariants', () => {
  it('let a journaled order leave, rest and be canceled', () => {
    const { facts, invariants, journal, knows } = begin();
    journal();
    invariants.execution.onWrite(submit, APPROVAL);
    facts.orders = [atVenue(1)];
    knows(LABEL);
    invariants.check();
    invariants.execution.onWrite(cancel, APPROVAL);
  });

  const broken: (readonly [
    words: string,
    breakIt: (world: ReturnType<typeof begin>) => void,
    message: string,
  ])[] = [
    [
      'a submit before its intent',
      ({ invariants }) => invariants.execution.onWrite(submit, APPROVAL),
      'before its intent',
    ],
    [
      'a submit whose intent was refused by the disk',
      ({ invariants, journal }) => {
        journal(LABEL, 'append-failed');
        invariants.execution.onWrite(submit, APPROVAL);
      },
      'before its intent',
    ],
    [
      'a second submit',
      ({ invariants, journal }) => {
        journal();
        invariants.execution.onWrite(submit, APPROVAL);
        invariants.execution.onWrite(submit, APPROVAL);
      },
      'a second time',
    ],
    [
      'a submit in a forbidden state',
      ({ facts, invariants, journal }) => {
        journal();
        facts.control = { ...facts.control, maySubmit: false, state: 'cancel-only' } as ControlState;
        invariants.execution.onWrite(submit, APPROVAL);
      },
      'in state cancel-only',
    ],
    [
      'a submit on a blocked symbol',
      ({ facts, invariants, journal }) => {
        journal();
        facts.control = { ...facts.control, blockedSymbols: ['BTCTRY'] } as ControlState;
        invariants.execution.onWrite(submit, APPROVAL);
      },
      'BTCTRY is blocked',
    ],
    [
      'a submit under a hold, whatever the state says',
      ({ facts, invariants, journal }) => {
        journal();
        const hold = { key: 'auth', cause: 'auth', subject: '', detail: '', placedAtMs: 0 } as const;
        facts.control = { ...facts.control, holds: [hold] } as ControlState;
        invariants.execution.onWrite(submit, APPROVAL);
      },
      'although hold auth stands',
    ],
    [
      'a cancel in observe-only',
      ({ facts, invariants }) => {
        facts.control = { ...facts.control, mayCancel: false, state: 'observe-only' } as ControlState;
        invariants.execution.onWrite(cancel, APPROVAL);
      },
      'leaves in state observe-only',
    ],
    [
      'a write after the lease, also while the supervisor stands still',
      ({ facts, invariants, journal }) => {
        journal();
        facts.control = null;
        facts.nowMs = 2_000;
        invariants.execution.onWrite(submit, APPROVAL);
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
        invariants.execution.onWrite(submit, APPROVAL);
        facts.orders = [atVenue(1), atVenue(2)];
        invariants.check();
      },
      'two orders for',
    ],
    [
      'an open order that execution does not count',
      ({ facts, invariants, journal, knows }) => {
        journal();
        invariants.execution.onWrite(submit, APPROVAL);
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
        invariants.execution.onWrite(submit, APPROVAL);
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
          invariants.execution.onWrite({ ...submit, clientOrderId } as VenueWrite, APPROVAL);
        }
        knows(...labels);
        facts.orders = labels.map((clientOrderId, index) => atVenue(index, { clientOrderId }));
        invariants.check();
      },
      '3 orders are open',
    ],
  ];
  const leaves =
    (breakIt: (world: ReturnType<typeof begin>) => void, write: VenueWrite = submit, approval = APPROVAL) =>
    (world: ReturnType<typeof begin>): void => {
      world.journal(write.clientOrderId);
      breakIt(world);
      world.invariants.execution.onWrite(write, approval);
    };
  broken.push(
    [
      'a submit before the account is proven',
      leaves(({ hear }) => hear('reconciliation', { type: 'reconciled', clean: false })),
      'before the account is proven',
    ],
    [
      'a submit that was judged under an older word',
      leaves(() => {}, submit, { ...APPROVAL, epoch: 0 }),
      'was judged under word 0',
    ],
    [
      'a submit on an old book',
      leaves(({ facts, invariants }) => {
        facts.nowMs = 6_000;
        invariants.onLease(9_000);
      }),
      'leans on a book of 5100 ms ago',
    ],
    [
      'a submit into a pause that the exchange asked for',
      leaves(({ invariants }) =>
        invariants.execution.onOutcome(submit, {
          type: 'unknown',
          cause: 'rate-limited',
          retryAfterMs: 60_000,
        }),
      ),
      'ms before the pause ends',
    ],
    [
      'an order against an own one that is still on its way',
      world => {
        sendFirst(world);
        leaves(() => {}, second({ side: 'sell' }))(world);
      },
      'may trade with an own order',
    ],
    [
      'one order too many, the others on their way',
      world => {
        sendFirst(world);
        for (const clientOrderId of ['bb-1-1-maker-2', 'bb-1-1-maker-3']) {
          world.knows(LABEL, 'bb-1-1-maker-2');
          leaves(() => {}, { ...submit, clientOrderId } as VenueWrite)(world);
        }
      },
      'is number 3 that may execute',
    ],
    [
      'an order above the limit of one',
      leaves(() => {}, second({ quantity: parseDecimal('1') })),
      'is worth 3750000',
    ],
    [
      'a cancel that names an order of somebody else',
      ({ facts, invariants }) => {
        facts.orders = [atVenue(1, { clientOrderId: 'by-hand' })];
        invariants.execution.onWrite(cancel, APPROVAL);
      },
      'which is another',
    ],
  );
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
    expect(() => invariants.execution.onWrite(submit, APPROVAL)).to.throw(
      InvariantViolation,
      'before its intent',
    );
  });
});
