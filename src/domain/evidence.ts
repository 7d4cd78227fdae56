/**
 * The search for submits whose outcome is unknown. There is no query by client order id (protocol section 6.5), so the
 * venue's lists are searched for the label until it turns up. That it does not exist is proven only when open orders,
 * all orders, trades and balances, all asked for after the venue's worst delay has passed, show nothing of it: never by
 * a clock alone or a number of tries.
 */
import { pairFromSymbol } from './accounting.js';
import { min, notional } from './money.js';
import type { ClientOrderId, Order, OrderTerms } from './order.js';
import { isEnded } from './order-watch.js';
import { ALL_ORDERS_LIMIT, partAsOf, type ReadGroup, startGroup } from './read-group.js';
import {
  audit,
  log,
  type ReconciliationEffect,
  type ReconciliationState,
  type TrackedOrder,
  tell,
  traced,
  type VenueBalances,
} from './reconciliation-state.js';
import type { Now } from './step.js';
import { prove } from './three-way-proof.js';
import type { OrderReport, VenueRead } from './venue-port.js';

/** Lists are searched from this long before the submit: clocks differ. */
const MARGIN_MS = 60_000;
const FIRST_POLL_MS = 250;
const POLL_BASE_MS = 500;
/** While the answer is likely to come soon, and while only the end of the window is waited for. */
const POLL_MAX_MS = 4_000;
const POLL_LATE_MS = 15_000;
const POLLS_BEFORE_LATE = 12;
/** Trades are the scarcer reads (protocol section 8): every third poll. */
const TRADES_EVERY = 3;

/** Begins the search for an order, unless the venue has shown it already. */
export const searchFor = (state: ReconciliationState, tracked: TrackedOrder, now: Now): void => {
  if (tracked.search !== null || tracked.venueOrderIds.size > 0) return;
  const { order } = tracked;
  tracked.search = {
    fromWallMs: (order.sentAtMs ?? order.intendedAtMs) - MARGIN_MS,
    // From now, not from the submit: by the time its fate is in question, its bytes have left or never will.
    provableMonoMs: now.monoMs + windowOf(state, order),
    nextMonoMs: now.monoMs + FIRST_POLL_MS,
    polls: 0,
    objection: null,
  };
};

/** None for a submit whose bytes went to an exchange of this machine that has ended since. */
const windowOf = ({ config }: ReconciliationState, order: Order): number =>
  order.intendedAtMs < (config.venueStartedAtMs ?? Number.NEGATIVE_INFINITY) ? 0 : config.absenceWindowMs;

/** Starts the polls that are due, one for all searched orders of a symbol. */
export const stepSearches = (state: ReconciliationState, now: Now): void => {
  const due = new Map<string, TrackedOrder[]>();
  for (const tracked of state.live.values()) {
    if (tracked.search === null) continue;
    const { symbol } = tracked.order.terms;
    if (state.evidenceRounds.has(symbol)) continue;
    const searched = due.get(symbol) ?? [];
    searched.push(tracked);
    due.set(symbol, searched);
  }
  for (const [symbol, searched] of due)
    if (searched.some(tracked => (tracked.search?.nextMonoMs ?? 0) <= now.monoMs))
      startPoll(state, symbol, searched, now);
};

const startPoll = (
  state: ReconciliationState,
  symbol: string,
  searched: readonly TrackedOrder[],
  now: Now,
): void => {
  let fromMs = Number.POSITIVE_INFINITY;
  let provable = false;
  let polls = 0;
  for (const { search } of searched) {
    if (search === null) continue;
    fromMs = Math.min(fromMs, search.fromWallMs + (state.clockOffsetMs ?? 0));
    provable ||= search.provableMonoMs <= now.monoMs;
    polls = Math.max(polls, search.polls);
  }
  const reads = new Map<string, VenueRead>([
    ['open-orders', { type: 'open-orders', symbol }],
    ['all-orders', { type: 'all-orders', symbol, fromMs, toMs: null, limit: ALL_ORDERS_LIMIT }],
  ]);
  if (provable || polls % TRADES_EVERY === TRADES_EVERY - 1)
    reads.set('trades', { type: 'trades', fromMs, toMs: null });
  if (provable) {
    reads.set('balances', { type: 'balances' });
    for (const other of symbolsLocking(state, symbol, searched))
      reads.set(lockPart(other), { type: 'open-orders', symbol: other });
  }
  state.evidenceRounds.add(symbol);
  startGroup(
    state,
    { type: 'evidence', symbol, orders: searched.map(tracked => tracked.order.clientOrderId) },
    reads,
    now.monoMs,
  );
};

const lockPart = (symbol: string): string => `open-orders ${symbol}`;

/**
 * The other symbols whose open orders lock what the searched ones would: balances show all locks together, so all of
 * them must be read at once. Between two passes nobody else reads them, and a bot that trades elsewhere would never be
 * able to tell its locks apart.
 */
const symbolsLocking = (
  state: ReconciliationState,
  symbol: string,
  searched: readonly TrackedOrder[],
): Set<string> => {
  const assets = new Set(searched.map(({ order }) => lockedAsset(order.terms)));
  const symbols = new Set<string>();
  for (const { order, venueOrderIds } of state.live.values())
    if (order.terms.symbol !== symbol && venueOrderIds.size > 0 && assets.has(lockedAsset(order.terms)))
      symbols.add(order.terms.symbol);
  return symbols;
};

/** The asset that an open order locks. */
const lockedAsset = (terms: Pick<OrderTerms, 'symbol' | 'side'>): string => {
  const pair = pairFromSymbol(terms.symbol);
  return terms.side === 'sell' ? pair.base : pair.quote;
};

/** A poll is over. What it showed has been taken in already; what remains is what it did not show. */
export const evidenceAnswered = (
  state: ReconciliationState,
  group: ReadGroup,
  owner: { readonly symbol: string; readonly orders: readonly ClientOrderId[] },
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  state.evidenceRounds.delete(owner.symbol);
  for (const clientOrderId of owner.orders) {
    const tracked = state.live.get(clientOrderId);
    const search = tracked?.search ?? null;
    if (tracked === undefined || search === null) continue;
    search.objection = objectionToAbsence(state, tracked, group);
    if (search.objection === null) declareAbsent(state, tracked, now, effects);
    else {
      search.polls += 1;
      const ceiling = search.polls > POLLS_BEFORE_LATE ? POLL_LATE_MS : POLL_MAX_MS;
      const pause = Math.min(ceiling, POLL_BASE_MS * 2 ** Math.min(10, search.polls - 1));
      search.nextMonoMs = now.monoMs + pause;
      // The end of the window is a reason to look by itself.
      if (now.monoMs < search.provableMonoMs)
        search.nextMonoMs = Math.min(search.nextMonoMs, search.provableMonoMs);
    }
  }
};

const declareAbsent = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  now: Now,
  effects: ReconciliationEffect[],
): void => {
  const { clientOrderId, terms } = tracked.order;
  const evidence =
    `open orders, all orders and trades of ${terms.symbol} and the balances, all read more than ` +
    `${Math.round(windowOf(state, tracked.order) / 1_000)} s after the submit, show nothing of it`;
  tracked.search = null;
  log(effects, 'info', 'absence-proven', { clientOrderId, evidence });
  audit(state, effects, now, 'absence-proven', { clientOrderId, evidence });
  tell(effects, 'execution', { type: 'absence-proven', ...traced(state), clientOrderId, evidence });
};

/** Why a poll does not prove that the order does not exist; null when it does. */
const objectionToAbsence = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  group: ReadGroup,
): string | null => {
  const { search } = tracked;
  if (search === null || tracked.venueOrderIds.size > 0 || tracked.booked > 0n) return 'it exists';
  const locking = [...group.parts.keys()].filter(part => part.startsWith(lockPart('')));
  for (const part of ['open-orders', 'all-orders', 'trades', 'balances', ...locking]) {
    const asOfMonoMs = partAsOf(group, part);
    if (asOfMonoMs === null) return `${part} were not read`;
    if (asOfMonoMs <= search.provableMonoMs) return `${part} were read before the window's end`;
  }
  const { balances } = state;
  if (balances === null || balances.asOfMonoMs <= search.provableMonoMs) return 'balances were not read';
  const proof = prove(state, balances);
  if (!proof.proven) return `balances differ from the ledger: ${[...proof.residuals.keys()].join(', ')}`;
  return unexplainedLock(state, tracked, balances);
};

/** Funds locked beyond what the open orders need, enough to carry this order: it may be resting somewhere unseen. */
const unexplainedLock = (
  state: ReconciliationState,
  tracked: TrackedOrder,
  balances: VenueBalances,
): string | null => {
  const { terms } = tracked.order;
  const asset = lockedAsset(terms);
  const balance = balances.byAsset.get(asset);
  if (balance === undefined) return null;
  let explained = 0n;
  for (const other of openReports(state)) explained += lockOf(other, asset);
  const needed =
    terms.side === 'sell'
      ? terms.quantity
      : (terms.quoteQuantity ?? (terms.price === null ? 0n : notional(terms.price, terms.quantity)));
  const unexplained = balance.locked - min(explained, balance.locked);
  return needed > 0n && unexplained >= needed
    ? `more ${asset} is locked than the open orders need, enough for this order`
    : null;
};

const openReports = (state: ReconciliationState): OrderReport[] => {
  const reports = [...state.strays.values()].map(stray => stray.report);
  for (const tracked of state.live.values()) if (tracked.report !== null) reports.push(tracked.report.report);
  for (const foreign of state.foreign.values()) if (foreign.report !== null) reports.push(foreign.report);
  return reports.filter(report => !isEnded(report));
};

const lockOf = (report: OrderReport, asset: string): bigint => {
  const pair = pairFromSymbol(report.symbol);
  if (report.side === 'sell') return pair.base === asset ? report.remaining : 0n;
  return pair.quote === asset && report.price !== null ? notional(report.price, report.remaining) : 0n;
};

/** For status: the searches that go on, and why the last look proved nothing. */
export const openSearches = (
  state: ReconciliationState,
  now: Now,
): {
  readonly clientOrderId: ClientOrderId;
  readonly polls: number;
  readonly provableInMs: number;
  readonly objection: string | null;
}[] =>
  [...state.live.values()].flatMap(tracked =>
    tracked.search === null
      ? []
      : [
          {
            clientOrderId: tracked.order.clientOrderId,
            polls: tracked.search.polls,
            provableInMs: Math.max(0, Math.round(tracked.search.provableMonoMs - now.monoMs)),
            objection: tracked.search.objection,
          },
        ],
  );
