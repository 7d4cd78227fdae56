/**
 * What must hold in every simulated world at every step, whatever goes wrong in it. The checks use the exchange's own
 * account and the supervisor's own state, not the bot's view of them.
 */
import type { AccountUpdated } from '../domain/account-events.js';
import { CAUSES } from '../domain/breaker.js';
import type { ExecutionState } from '../domain/execution.js';
import type { WriteApproval } from '../domain/fence.js';
import type { AppendRequest } from '../domain/ledger-records.js';
import type { ClientOrderId } from '../domain/order.js';
import { worstRemaining } from '../domain/order-machine.js';
import type { ControlState } from '../domain/safety.js';
import type { ActorName } from '../domain/step.js';
import type { PositionView } from '../domain/strategy.js';
import type { VenueWrite } from '../domain/venue-port.js';
import type { Account, AccountOrder } from '../exchange/accounts.js';
import type { Settings } from '../runtime/settings.js';
import type { BelievedPosition } from './books.js';
import { createHoldRules, type HoldRules } from './hold-rules.js';
import { createNewcomers } from './newcomers.js';
import type { ExecutionWitness } from './sim-execution.js';
import { createWriteRules } from './write-rules.js';

/** A promise that was broken. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
}

export interface InvariantFacts {
  settings(): Settings;
  monoMs(): number;
  /** The supervisor's word as it is now; null while its loop stands still. */
  control(): ControlState | null;
  account(): Account;
}

export interface Invariants {
  readonly execution: ExecutionWitness;
  readonly holds: HoldRules;
  /** Execution's positions, and those of the newest account picture that reconciliation has told. */
  heldByExecution(): readonly BelievedPosition[];
  toldByReconciliation(): readonly BelievedPosition[];
  /** A message between actors; appends and their answers are looked at. */
  onMessage(from: ActorName, to: ActorName, message: unknown): void;
  onLease(untilMonoMs: number): void;
  /** The exchange's account or execution's state may have changed. */
  touch(): void;
  /** Between any two things that happen; looks only after a {@link Invariants.touch}. */
  check(): void;
}

export const createInvariants = (facts: InvariantFacts): Invariants => {
  const posted = new Set<ClientOrderId>();
  const durable = new Set<ClientOrderId>();
  /** Intents on their way to the disk, by batch. */
  const appending = new Map<number, readonly ClientOrderId[]>();
  /** The venue order of each of our labels. */
  const venueOrders = new Map<string, number>();
  const newOrders = createNewcomers<AccountOrder>();
  let leaseUntilMonoMs = Number.NEGATIVE_INFINITY;
  let touched = true;
  let readExecution: () => ExecutionState | null = () => null;

  const violated = (words: string): never => {
    throw new InvariantViolation(words);
  };

  const writes = createWriteRules({ ...facts, execution: () => readExecution() }, violated);

  let reported: readonly PositionView[] = [];
  const heldByExecution = (): BelievedPosition[] =>
    [...(readExecution()?.positions ?? [])].map(([symbol, quantity]) => ({
      by: 'execution',
      symbol,
      quantity,
      costs: null,
    }));
  const toldByReconciliation = (): BelievedPosition[] =>
    reported.map(({ symbol, quantity, fees, taxes }) => ({
      by: 'reconciliation',
      symbol,
      quantity,
      costs: fees + taxes,
    }));

  const checkSubmit = (
    write: Extract<VenueWrite, { readonly type: 'submit' }>,
    control: ControlState | null,
  ): void => {
    const { clientOrderId, terms } = write;
    if (posted.has(clientOrderId)) violated(`order ${clientOrderId} is sent a second time`);
    posted.add(clientOrderId);
    if (!durable.has(clientOrderId)) violated(`order ${clientOrderId} is sent before its intent is durable`);
    if (control === null) return;
    if (!control.maySubmit) violated(`order ${clientOrderId} is sent in state ${control.state}`);
    for (const { key, cause, subject } of control.holds)
      if (!CAUSES[cause].perSymbol || subject === '' || subject === terms.symbol)
        violated(`order ${clientOrderId} is sent although hold ${key} stands`);
    if (control.blockedSymbols.includes(terms.symbol))
      violated(`order ${clientOrderId} is sent although ${terms.symbol} is blocked`);
  };

  const onWrite = (write: VenueWrite, approval: WriteApproval): void => {
    const control = facts.control();
    const now = facts.monoMs();
    if (now >= leaseUntilMonoMs)
      violated(`a ${write.type} leaves ${Math.round(now - leaseUntilMonoMs)} ms after the lease ended`);
    if (write.type === 'submit') checkSubmit(write, control);
    else if (
      control !== null &&
      (control.state === 'observe-only' || (!control.mayCancel && control.state !== 'killed'))
    )
      violated(`a cancel of ${write.clientOrderId} leaves in state ${control.state}`);
    writes.onWrite(write, approval);
  };

  const onMessage: Invariants['onMessage'] = (from, to, message) => {
    writes.onMessage(from, to, message);
    if (from === 'reconciliation' && to === 'execution') {
      const told = message as Pick<AccountUpdated, 'positions'> & { readonly type: string };
      if (told.type === 'account-updated') reported = told.positions;
    }
    if (from === 'execution' && to === 'ledger') {
      const request = message as AppendRequest;
      if (request.type !== 'append') return;
      const intended: ClientOrderId[] = [];
      for (const record of request.records)
        if (record.type === 'order-intended') intended.push(record.order.clientOrderId);
      if (intended.length > 0) appending.set(request.batch, intended);
    }
    if (from !== 'ledger' || to !== 'execution') return;
    const reply = message as { readonly type: string; readonly batch: number };
    if (reply.type === 'appended') for (const id of appending.get(reply.batch) ?? []) durable.add(id);
    if (reply.type === 'appended' || reply.type === 'append-failed') appending.delete(reply.batch);
  };

  /** Each order at the venue has one label of ours, sent once, and each label one order. */
  const checkIdentity = (account: Account): void => {
    for (const order of newOrders(account.orders)) {
      const label = order.clientOrderId;
      if (!label.startsWith('bb-')) continue;
      if (!posted.has(label)) violated(`the venue has order ${label}, which was never sent`);
      if (venueOrders.has(label)) violated(`the venue has two orders for ${label}`);
      venueOrders.set(label, order.orderId);
    }
  };

  /** What may still execute at the venue is counted by execution, at least as large. */
  const checkExposure = (account: Account): void => {
    const execution = readExecution();
    if (execution === null) return;
    for (const order of account.open.values()) {
      if (!order.clientOrderId.startsWith('bb-')) continue;
      const tracked = execution.open.get(order.clientOrderId);
      if (tracked === undefined)
        violated(`order ${order.clientOrderId} is open at the venue and not counted by execution`);
      else if (worstRemaining(tracked.record) < order.remaining)
        violated(`execution counts less of ${order.clientOrderId} than is open at the venue`);
    }
  };

  const checkLimits = (account: Account): void => {
    if (account.open.size === 0) return;
    let ours = 0;
    const bySymbol = new Map<string, number>();
    for (const order of account.open.values()) {
      if (!order.clientOrderId.startsWith('bb-')) continue;
      ours += 1;
      bySymbol.set(order.symbol, (bySymbol.get(order.symbol) ?? 0) + 1);
    }
    if (ours > facts.settings().risk.maxOpenOrders) violated(`${ours} orders are open at the venue`);
    for (const [symbol, count] of bySymbol)
      if (count > facts.settings().risk.maxOpenOrdersPerSymbol)
        violated(`${count} orders are open on ${symbol}`);
  };

  return {
    execution: {
      onIncarnation: read => {
        readExecution = read;
        writes.onIncarnation();
        // Batches are numbered by incarnation; answers to the last one are not for this one.
        appending.clear();
      },
      onStep: () => {
        touched = true;
      },
      onWrite,
      onOutcome: writes.onOutcome,
    },
    holds: createHoldRules(violated),
    heldByExecution,
    toldByReconciliation,
    onMessage,
    onLease: untilMonoMs => {
      leaseUntilMonoMs = untilMonoMs;
    },
    touch: () => {
      touched = true;
    },
    check: () => {
      if (!touched) return;
      touched = false;
      const account = facts.account();
      writes.onAccount(account);
      checkIdentity(account);
      checkExposure(account);
      checkLimits(account);
    },
  };
};
