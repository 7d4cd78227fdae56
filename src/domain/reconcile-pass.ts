/**
 * A pass: the whole account as the venue shows it, against what the ledger knows. A pass ends clean, with differences
 * that may be lateness (it is repeated soon, and looks further back), or with differences that have lasted too long.
 */
import { bookMovement, fillCount, movementEffect } from './accounting.js';
import { searchFor } from './evidence.js';
import { tellBookedAgain } from './fill-booking.js';
import { askAboutForeignOrders } from './foreign-orders.js';
import { type Amount, formatDecimal } from './money.js';
import { isTerminal } from './order.js';
import { outOfLine, watchOrder } from './order-watch.js';
import { failedParts, isUnreachable, partAsOf, type ReadGroup, startGroup } from './read-group.js';
import {
  append,
  audit,
  believedFilled,
  clearHold,
  log,
  MOVEMENTS_OVERLAP_MS,
  placeHold,
  type ReconciliationEffect,
  type ReconciliationState,
  TRADES_OVERLAP_MS,
  tell,
  traced,
  venueNowMs,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import { brokenInvariants, prove } from './three-way-proof.js';
import type { CashMovement, VenueRead } from './venue-port.js';

/** Deposits and withdrawals are rare: read now and then, and when something does not add up. */
const MOVEMENTS_INTERVAL_MS = 300_000;
/** How long a pass waits for the reads about single orders. */
const FOLLOW_UP_MS = 3_000;
const AGAIN_BASE_MS = 500;
const AGAIN_MAX_MS = 5_000;
/** A difference must be seen in this many evaluations before it can be called one. */
const SEEN_LEAST = 3;
/** Each further look for what is missing reaches this many times further back. */
const WIDENING = 4;
/** Longest look back: the venue's own default (protocol section 5.2). */
const LOOK_BACK_MAX_MS = 30 * 86_400_000;
/** Names a difference about one of our orders; its label follows. */
const ORDER_KEY = 'order:';
/** Names a trade that the private feed alone has shown; its id follows. */
const TRADE_KEY = 'trade:';
/** The list of movements names what the balances show within this. */
const LISTED_AFTER_MS = 10_000;
/** The private feed and the trades endpoint may differ by a moment in a trade's time. */
const TRADE_TIME_MARGIN_MS = 1_000;
/** A message of ours may cross one of execution's for this long. */
const CROSSING_MS = 1_000;

/** Wants a pass within `delayMs`, for a reason; an earlier wish stands. */
export const wantPass = (state: ReconciliationState, reason: string, delayMs: number, now: Now): void => {
  if (now.monoMs + delayMs >= state.nextPassMonoMs) return;
  state.nextPassMonoMs = now.monoMs + delayMs;
  state.passReason = reason;
};

/** Starts a pass when one is due, and ends the one whose follow-ups are over. */
export const stepPass = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  if (state.pass === null) {
    if (now.monoMs >= state.nextPassMonoMs && !state.schedule.signedStopped) startPass(state, now);
    return;
  }
  if (state.pass.stage !== 'follow-up') return;
  const open = [...state.pass.followedUp].filter(clientOrderId => {
    const tracked = state.live.get(clientOrderId);
    return tracked !== undefined && outOfLine(tracked) !== null;
  });
  if (open.length === 0 || now.monoMs >= state.pass.followUpUntilMonoMs)
    evaluate(state, new Set(open), now, effects);
};

/** Begins a pass at once, whatever is under way. */
export const startPass = (state: ReconciliationState, now: Now): void => {
  const reads = new Map<string, VenueRead>();
  for (const symbol of followedSymbols(state))
    reads.set(`open-orders ${symbol}`, { type: 'open-orders', symbol });
  reads.set('trades', { type: 'trades', fromMs: tradesFromMs(state, now), toMs: null });
  const puzzled = state.passesAgain > 0 && state.residuals.size > 0;
  if (puzzled || now.monoMs - state.movementsReadMonoMs >= MOVEMENTS_INTERVAL_MS)
    reads.set('cash-movements', {
      type: 'cash-movements',
      fromMs: movementsFromMs(state, now),
      toMs: null,
    });
  reads.set('balances', { type: 'balances' });
  const group = startGroup(state, { type: 'pass' }, reads, now.monoMs);
  state.pass = {
    group: group.id,
    reason: state.passReason,
    startedMonoMs: now.monoMs,
    startedVenueMs: venueNowMs(state, now),
    controlEpoch: state.control?.epoch ?? null,
    stage: 'lists',
    followedUp: new Set(),
    followUpUntilMonoMs: Number.POSITIVE_INFINITY,
  };
  state.passReason = 'timer';
  state.nextPassMonoMs = now.monoMs + state.config.reconcileIntervalMs;
};

/** The allowed symbols, and those on which an order of ours is still open from a time when they were allowed. */
const followedSymbols = (state: ReconciliationState): Set<string> => {
  const symbols = new Set(state.config.symbols);
  for (const tracked of state.live.values()) symbols.add(tracked.order.terms.symbol);
  return symbols;
};

/**
 * From where rows are read that were known up to `throughMs`: they appear late, and while something is missing each look
 * reaches further back. Up to where they were known an earlier run's clock may have said, which may have been ahead.
 */
const rowsFromMs = (state: ReconciliationState, throughMs: number, overlapMs: number, now: Now): number => {
  const missing = state.residuals.size > 0 ? Math.max(0, state.passesAgain - 1) : 0;
  const back = Math.min(LOOK_BACK_MAX_MS, overlapMs * WIDENING ** missing);
  return Math.min(throughMs, venueNowMs(state, now)) - back;
};

/** From where movements are read. About older ones than these the opening's own lists say nothing. */
const movementsFromMs = (state: ReconciliationState, now: Now): number =>
  Math.max(
    0,
    state.accounting.openingAtMs - MOVEMENTS_OVERLAP_MS,
    rowsFromMs(state, state.movementsThroughMs, MOVEMENTS_OVERLAP_MS, now),
  );

/**
 * From where trades are read: also where the private feed alone has shown one. A venue whose clock was set back dates our
 * first trades before the opening.
 */
const tradesFromMs = (state: ReconciliationState, now: Now): number => {
  let fromMs = rowsFromMs(state, state.tradesThroughMs, TRADES_OVERLAP_MS, now);
  for (const { fill } of state.unconfirmedFills.values())
    fromMs = Math.min(fromMs, fill.executedAtMs - TRADE_TIME_MARGIN_MS);
  if (!state.everClean)
    for (const tracked of state.live.values())
      fromMs = Math.min(fromMs, tracked.order.intendedAtMs - TRADES_OVERLAP_MS);
  return Math.max(0, state.accounting.openingAtMs - TRADES_OVERLAP_MS, fromMs);
};

/** All lists of a pass are answered; their facts have been taken in. */
export const passAnswered = (
  state: ReconciliationState,
  group: ReadGroup,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { pass } = state;
  if (pass === null || pass.group !== group.id) return;
  const failed = failedParts(group);
  if (failed.length > 0) {
    log(effects, 'warn', 'pass-failed', { reason: pass.reason, failed });
    // A last look at a venue that nobody reaches would show nothing the next time either.
    if (state.phase === 'draining' && isUnreachable(group)) state.drainDeadlineMonoMs = now.monoMs;
    again(state, now);
    return;
  }
  state.listedEpoch = pass.controlEpoch;
  state.tradesThroughMs = Math.max(state.tradesThroughMs, pass.startedVenueMs);
  if (partAsOf(group, 'cash-movements') !== null) {
    state.movementsThroughMs = Math.max(state.movementsThroughMs, pass.startedVenueMs);
    state.movementsReadMonoMs = now.monoMs;
  }
  for (const tracked of state.live.values()) {
    if (outOfLine(tracked) !== null) {
      pass.followedUp.add(tracked.order.clientOrderId);
      watchOrder(state, tracked, now.monoMs);
    }
    if (!state.everClean && !isTerminal(tracked.order.state)) searchFor(state, tracked, now);
    const crossed = now.monoMs - tracked.changedMonoMs < CROSSING_MS;
    if (!crossed && believedFilled(tracked) < tracked.booked) tellBookedAgain(state, tracked, effects);
  }
  askAboutForeignOrders(state, pass.startedMonoMs, now);
  pass.stage = 'follow-up';
  pass.followUpUntilMonoMs = now.monoMs + FOLLOW_UP_MS;
  stepPass(state, now, effects);
};

const again = (state: ReconciliationState, now: Now): void => {
  state.pass = null;
  state.passesAgain += 1;
  const pause = Math.min(AGAIN_MAX_MS, AGAIN_BASE_MS * 2 ** Math.min(10, state.passesAgain - 1));
  state.nextPassMonoMs = Math.min(state.nextPassMonoMs, now.monoMs + pause);
};

const evaluate = (
  state: ReconciliationState,
  outOfLineOrders: ReadonlySet<string>,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { pass, balances } = state;
  if (pass === null || balances === null) return;
  const found = new Map<string, string>();
  for (const clientOrderId of outOfLineOrders) {
    const tracked = state.live.get(clientOrderId);
    const text = tracked === undefined ? null : outOfLine(tracked);
    if (text !== null) found.set(`${ORDER_KEY}${clientOrderId}`, text);
  }
  for (const [venueOrderId, stray] of state.strays)
    found.set(
      `stray:${venueOrderId}`,
      `order ${venueOrderId} with our label ${stray.report.clientOrderId ?? ''} is open at the venue, but not for the ledger`,
    );
  for (const { fill, bookedMonoMs } of state.unconfirmedFills.values())
    if (now.monoMs - bookedMonoMs > state.config.balanceLagMs)
      found.set(
        `${TRADE_KEY}${fill.tradeId}`,
        `trade ${fill.tradeId} came by the private feed, and the trades endpoint does not show it`,
      );
  let proof = prove(state, balances);
  // What the balances show first a list may name soon: only one of this pass leaves nothing but what is undecided.
  const listed = state.movementsReadMonoMs >= pass.startedMonoMs;
  if (listed && bookMissing(state, proof.residuals, now, effects)) proof = prove(state, balances);
  state.residuals = proof.residuals;
  for (const [asset, residual] of proof.residuals)
    found.set(`residual:${asset}`, `the venue's ${asset} less the ledger's is ${formatDecimal(residual)}`);
  const broken = brokenInvariants(state);
  const lasting = noteDifferences(state, found, now, effects);
  appendBalances(state, effects);
  conclude(state, { found, broken, lasting, startedMonoMs: pass.startedMonoMs }, now, effects);
};

/** Keeps how long each difference has lasted. @returns those that can no longer be mere lateness. */
const noteDifferences = (
  state: ReconciliationState,
  found: ReadonlyMap<string, string>,
  now: Now,
  effects: ReconciliationEffect[],
): string[] => {
  for (const key of state.differences.keys()) if (!found.has(key)) state.differences.delete(key);
  const lasting: string[] = [];
  for (const [key, text] of found) {
    const known = state.differences.get(key);
    if (known === undefined) {
      state.differences.set(key, { sinceMonoMs: now.monoMs, seen: 1, text });
      log(effects, 'info', 'difference-seen', { difference: text });
      continue;
    }
    known.seen += 1;
    known.text = text;
    const overMonoMs = known.sinceMonoMs + state.config.graceMs;
    if (known.seen >= SEEN_LEAST && now.monoMs >= overMonoMs && !awaitsLook(state, key, overMonoMs))
      lasting.push(text);
  }
  return lasting;
};

/**
 * The reads that settle an order's difference have not been answered since its grace time ended: a bucket may be
 * paused. Until they are, the difference is lateness, which the lag hold covers.
 */
const awaitsLook = (state: ReconciliationState, key: string, sinceMonoMs: number): boolean => {
  if (!key.startsWith(ORDER_KEY)) return false;
  const tracked = state.live.get(key.slice(ORDER_KEY.length));
  if (tracked === undefined || tracked.venueOrderIds.size === 0) return false;
  return (tracked.lookedMonoMs ?? Number.NEGATIVE_INFINITY) < sinceMonoMs;
};

interface Findings {
  readonly found: ReadonlyMap<string, string>;
  readonly broken: ReadonlyMap<string, string>;
  readonly lasting: readonly string[];
  readonly startedMonoMs: number;
}

const conclude = (
  state: ReconciliationState,
  findings: Findings,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { found, broken, lasting } = findings;
  state.discrepancies = [...broken.values(), ...found.values()];
  const clean = state.discrepancies.length === 0;
  const proven = [...broken.values(), ...lasting];
  if (proven.length > 0) {
    for (const discrepancy of proven) log(effects, 'error', 'discrepancy', { discrepancy });
    placeHold(state, effects, 'invariant', 'account', proven.slice(0, 5).join('; '));
  }
  if (clean) {
    state.pass = null;
    state.passesAgain = 0;
    state.lastCleanMonoMs = findings.startedMonoMs;
    state.lastCleanWallMs = now.wallMs;
    clearHold(state, effects, 'invariant', 'account', 'ledger and venue are equal again');
    clearHold(state, effects, 'reconcile-lag', '', 'ledger and venue are equal');
    if (!state.everClean) recovered(state, now, effects);
  } else again(state, now);
  if (clean || proven.length > 0)
    tell(effects, 'execution', {
      type: 'reconciled',
      ...traced(state),
      clean,
      discrepancies: state.discrepancies,
      completedMonoMs: now.monoMs,
    });
};

/** Whether a difference has lasted longer than mere lateness may. */
const isOverdue = (state: ReconciliationState, key: string, now: Now): boolean => {
  const difference = state.differences.get(key);
  return difference !== undefined && now.monoMs - difference.sinceMonoMs >= state.config.graceMs;
};

/**
 * An operator has released the hold on the account: he has looked, and takes it as it is. What could not be explained
 * is booked as a correction, under a name of its own, so that the books go on from the venue's figures. A trade that the
 * private feed alone has shown stays booked: whatever of it was wrong is in the correction.
 */
export const adoptDifferences = (
  state: ReconciliationState,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  // While passes fail, something may have been booked that explains what the last one found.
  const standing = state.balances === null ? state.residuals : prove(state, state.balances).residuals;
  for (const [asset, residual] of state.residuals) {
    if (standing.get(asset) !== residual || !isOverdue(state, `residual:${asset}`, now)) continue;
    const movement: CashMovement = {
      movementId: `correction-${asset}-${now.wallMs}`,
      kind: residual > 0n ? 'deposit' : 'withdrawal',
      asset,
      amount: residual,
      fee: 0n,
      tax: 0n,
      atMs: venueNowMs(state, now),
    };
    if (bookMovement(state.accounting, movement) !== 'booked') continue;
    append(state, effects, [{ type: 'cash-movement', movement }], true);
    audit(state, effects, now, 'difference-adopted', { asset, residual: formatDecimal(residual) });
    log(effects, 'warn', 'difference-adopted', { asset, residual });
  }
  for (const [tradeId, { fill }] of state.unconfirmedFills) {
    if (!isOverdue(state, `${TRADE_KEY}${tradeId}`, now)) continue;
    state.unconfirmedFills.delete(tradeId);
    audit(state, effects, now, 'unconfirmed-fill-accepted', { tradeId, symbol: fill.symbol });
    log(effects, 'warn', 'unconfirmed-fill-accepted', { tradeId, symbol: fill.symbol });
  }
  for (const [subject, violation] of state.violations)
    audit(state, effects, now, 'violation-accepted', { subject, violation });
  state.violations.clear();
  state.differences.clear();
  state.accountDirty = true;
  wantPass(state, 'hold-released', 0, now);
};

/** The first clean pass of a start: accounting is complete, every order's life is known, the invariants hold. */
const recovered = (state: ReconciliationState, now: Now, effects: ReconciliationEffect[]): void => {
  state.everClean = true;
  if (state.phase === 'recovering') state.phase = 'running';
  const facts = {
    tookMs: Math.round(now.monoMs - state.startedMonoMs),
    openOrders: state.live.size,
    fills: fillCount(state.accounting),
  };
  log(effects, 'info', 'recovered', facts);
  audit(state, effects, now, 'recovered', facts);
  effects.push({
    type: 'hold',
    message: {
      type: 'hold-cleared',
      ...traced(state),
      holdCause: 'starting',
      subject: '',
      detail: 'ledger and venue are equal',
    },
  });
};

const appendBalances = (state: ReconciliationState, effects: ReconciliationEffect[]): void => {
  if (state.balances === null) return;
  const text = state.balances.list
    .map(({ asset, total, free, locked }) => `${asset} ${total} ${free} ${locked}`)
    .join('\n');
  if (text === state.balancesAppended) return;
  state.balancesAppended = text;
  append(
    state,
    effects,
    [
      {
        type: 'balances',
        atMs: state.balances.asOfVenueMs,
        opening: false,
        balances: state.balances.list,
      },
    ],
    false,
  );
};

/**
 * Takes in a list of deposits and withdrawals: each is booked once, unless the opening balances hold it. They hold those
 * the opening listed, and none dated clearly later. What is dated before or around the opening and was not listed stays
 * undecided: a deposit keeps the time at which it was seen first, and counts once it is confirmed; or its row came late;
 * or the venue's clock was set back.
 */
export const takeMovements = (
  state: ReconciliationState,
  movements: readonly CashMovement[],
  effects: ReconciliationEffect[],
): void => {
  if (state.phase === 'opening' || state.phase === 'observing') return;
  const { accounting, openingMovementIds } = state;
  const clearlyLaterMs = accounting.openingAtMs + state.config.balanceLagMs;
  const undecided = new Map<string, CashMovement>();
  for (const movement of movements) {
    const { movementId, atMs } = movement;
    if (openingMovementIds.has(movementId)) continue;
    if (atMs < clearlyLaterMs && !accounting.movements.has(movementId)) undecided.set(movementId, movement);
    else takeMovement(state, movement, effects);
  }
  state.undecidedMovements = undecided;
};

const takeMovement = (
  state: ReconciliationState,
  movement: CashMovement,
  effects: ReconciliationEffect[],
): void => {
  const outcome = bookMovement(state.accounting, movement);
  if (outcome === 'contradicted')
    state.violations.set(
      `movement:${movement.movementId}`,
      `${movement.kind} ${movement.movementId} was shown with different numbers`,
    );
  if (outcome !== 'booked') return;
  append(state, effects, [{ type: 'cash-movement', movement }], true);
  log(effects, 'info', 'cash-movement-booked', { ...movement });
  state.accountDirty = true;
};

/**
 * The balances decide about what is undecided: when all of an asset's, or one of them, is to the last digit what the
 * venue has beyond the books, the opening cannot have held it. Not before the difference has stood for a while: a deposit of
 * the same amount, which the balances show before the list does, must not be taken for an older one.
 * @returns whether anything was booked.
 */
const bookMissing = (
  state: ReconciliationState,
  residuals: ReadonlyMap<string, Amount>,
  now: Now,
  effects: ReconciliationEffect[],
): boolean => {
  const missing: CashMovement[] = [];
  for (const [asset, residual] of residuals) {
    const sinceMonoMs = state.differences.get(`residual:${asset}`)?.sinceMonoMs ?? now.monoMs;
    if (now.monoMs - sinceMonoMs < LISTED_AFTER_MS) continue;
    const undecided = [...state.undecidedMovements.values()].filter(movement => movement.asset === asset);
    const sum = undecided.reduce((total, movement) => total + movementEffect(movement), 0n);
    if (sum === residual) missing.push(...undecided);
    else missing.push(...undecided.filter(movement => movementEffect(movement) === residual).slice(0, 1));
  }
  if (missing.length === 0) return false;
  const left = new Map(state.undecidedMovements);
  for (const movement of missing) {
    left.delete(movement.movementId);
    takeMovement(state, movement, effects);
  }
  state.undecidedMovements = left;
  return true;
};
