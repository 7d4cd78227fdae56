/**
 * What a submit must not be in the moment in which its first byte leaves, judged by what the exchange's account and the
 * messages between the actors show: too many, too large, beyond the money, against an own order, on an old book, under
 * an old word of the supervisor, before the account was proven, into a pause that the exchange asked for, or to where it is
 * closed for maintenance.
 */

import type { ExecutionState } from '../domain/execution.js';
import type { WriteApproval } from '../domain/fence.js';
import {
  type Amount,
  abs,
  formatDecimal,
  max,
  notional,
  type Price,
  type Quantity,
} from '../domain/money.js';
import type { OrderTerms } from '../domain/order.js';
import type { ControlState } from '../domain/safety.js';
import type { ActorName } from '../domain/step.js';
import type { CancelOutcome, SubmitOutcome, VenueWrite } from '../domain/venue-port.js';
import type { Account, AccountOrder } from '../exchange/accounts.js';
import type { Settings } from '../runtime/settings.js';
import { createNewcomers } from './newcomers.js';

export interface WriteRules {
  onIncarnation(): void;
  onMessage(from: ActorName, to: ActorName, message: unknown): void;
  onWrite(write: VenueWrite, approval: WriteApproval): void;
  onOutcome(write: VenueWrite, outcome: SubmitOutcome | CancelOutcome): void;
  /** The account has changed at the exchange. */
  onAccount(account: Account): void;
}

export interface WriteFacts {
  settings(): Settings;
  monoMs(): number;
  control(): ControlState | null;
  account(): Account;
  execution(): ExecutionState | null;
}

type Submit = Extract<VenueWrite, { readonly type: 'submit' }>;

/** What an order of ours may still do, as far as the exchange and execution can tell. */
interface MayExecute {
  readonly terms: OrderTerms;
  readonly remaining: Quantity;
}

const MINUTE_MS = 60_000;
/** What the exchange said is closed is left alone for two minutes (protocol section 7.2: minutes). */
const CLOSED_MS = 2 * MINUTE_MS;
/** The most the account held within this time counts as its money: somebody else may have moved some of it. */
const MONEY_MEMORY_MS = 60_000;

export const createWriteRules = (facts: WriteFacts, violated: (words: string) => never): WriteRules => {
  const posted = new Map<string, OrderTerms>();
  /** Bytes of submits of this incarnation, newest last. */
  let sentAt: number[] = [];
  let recovered = false;
  const bookReceived = new Map<string, number>();
  const notBefore = { submit: Number.NEGATIVE_INFINITY, cancel: Number.NEGATIVE_INFINITY };
  /** Until when nothing may go to a symbol, or (no symbol) anywhere, monotonic ms. */
  const closedUntil = new Map<string, number>();
  /** What each asset's total was, and until when. */
  const money = new Map<string, { readonly total: Amount; readonly untilMonoMs: number }[]>();
  const lastTotals = new Map<string, Amount>();

  /** Orders of ours that may execute from now on: open at the exchange, or sent and of a fate execution does not know. */
  const mayExecute = (account: Account): MayExecute[] => {
    const execution = facts.execution();
    const live: MayExecute[] = [];
    const atVenue = new Map<string, AccountOrder>();
    for (const order of account.open.values()) atVenue.set(order.clientOrderId, order);
    const ended = new Set<string>();
    for (const label of posted.keys()) {
      const order = atVenue.get(label);
      const terms = posted.get(label) as OrderTerms;
      if (order !== undefined) live.push({ terms, remaining: order.remaining });
      else if (execution?.open.get(label) === undefined) ended.add(label);
      else if (!isAt(account, label)) live.push({ terms, remaining: terms.quantity });
    }
    // An order that both have seen end never comes back; one that only execution gave up may, and is found as such.
    for (const label of ended) if (isAt(account, label)) posted.delete(label);
    return live;
  };

  const known = new Set<string>();
  const newOrders = createNewcomers<AccountOrder>();
  /** Whether the exchange has ever had an order of this label. */
  const isAt = (account: Account, label: string): boolean => {
    for (const order of newOrders(account.orders)) known.add(order.clientOrderId);
    return known.has(label);
  };

  const positions = new Map<string, Quantity>();
  let tradesSeen = 0;
  const positionOf = (account: Account, symbol: string): Quantity => {
    for (const { order, quantity } of account.trades.slice(tradesSeen))
      if (order.clientOrderId.startsWith('bb-'))
        positions.set(
          order.symbol,
          (positions.get(order.symbol) ?? 0n) + (order.side === 'buy' ? quantity : -quantity),
        );
    tradesSeen = account.trades.length;
    return positions.get(symbol) ?? 0n;
  };

  const checkSize = (write: Submit, others: readonly MayExecute[], account: Account): void => {
    const { risk } = facts.settings();
    const { clientOrderId, terms } = write;
    const price: Price = terms.price ?? 0n;
    const onSymbol = others.filter(other => other.terms.symbol === terms.symbol);
    if (others.length + 1 > risk.maxOpenOrders)
      violated(`order ${clientOrderId} is number ${others.length + 1} that may execute`);
    if (onSymbol.length + 1 > risk.maxOpenOrdersPerSymbol)
      violated(`order ${clientOrderId} is number ${onSymbol.length + 1} on ${terms.symbol}`);
    if (!terms.symbol.endsWith('TRY')) return;
    const value = notional(price, terms.quantity);
    if (risk.maxNotionalPerOrderTry !== null && value > risk.maxNotionalPerOrderTry)
      violated(`order ${clientOrderId} is worth ${formatDecimal(value)}`);
    const position = positionOf(account, terms.symbol);
    const sign = terms.side === 'buy' ? 1n : -1n;
    let open = 0n;
    for (const other of onSymbol) if (other.terms.side === terms.side) open += other.remaining;
    const worst = max(0n, sign * position + open + terms.quantity);
    const worstTry = notional(price, worst);
    const enlarges = worst > abs(position);
    if (enlarges && risk.maxPositionNotionalTry !== null && worstTry > risk.maxPositionNotionalTry)
      violated(`order ${clientOrderId} may lead to a position of ${formatDecimal(worstTry)}`);
  };

  const mostMoney = (asset: string, now: number): Amount => {
    let most = lastTotals.get(asset) ?? 0n;
    for (const { total, untilMonoMs } of money.get(asset) ?? [])
      if (untilMonoMs > now - MONEY_MEMORY_MS) most = max(most, total);
    return most;
  };

  const checkMoney = (write: Submit, others: readonly MayExecute[], account: Account): void => {
    const { terms, clientOrderId } = write;
    const listed = facts.execution()?.instruments.get(terms.symbol);
    if (listed === undefined) return;
    const asset = terms.side === 'buy' ? listed.quote : listed.base;
    const costOf = (each: OrderTerms, quantity: Quantity): Amount =>
      each.side === 'buy' ? notional(each.price ?? 0n, quantity) : (quantity as bigint);
    let needed = costOf(terms, terms.quantity);
    for (const other of others) {
      const instrument = facts.execution()?.instruments.get(other.terms.symbol);
      const takes = other.terms.side === 'buy' ? instrument?.quote : instrument?.base;
      if (takes === asset) needed += costOf(other.terms, other.remaining);
    }
    noteMoney(account);
    if (needed > mostMoney(asset, facts.monoMs()))
      violated(`order ${clientOrderId} and those before it need ${formatDecimal(needed)} ${asset}`);
  };

  const noteMoney = (account: Account): void => {
    const now = facts.monoMs();
    for (const [asset, { total }] of account.holdings) {
      const last = lastTotals.get(asset);
      if (last === total) continue;
      lastTotals.set(asset, total);
      if (last === undefined) continue;
      const past = (money.get(asset) ?? []).filter(each => each.untilMonoMs > now - MONEY_MEMORY_MS);
      past.push({ total: last, untilMonoMs: now });
      money.set(asset, past);
    }
  };

  const onSubmit = (write: Submit, approval: WriteApproval): void => {
    const { clientOrderId, terms } = write;
    const now = facts.monoMs();
    const control = facts.control();
    const account = facts.account();
    if (!recovered) violated(`order ${clientOrderId} is sent before the account is proven`);
    if (control !== null && approval.epoch !== control.epoch)
      violated(`order ${clientOrderId} was judged under word ${approval.epoch}, and ${control.epoch} holds`);
    for (const subject of ['', terms.symbol])
      if (now < (closedUntil.get(subject) ?? 0))
        violated(`order ${clientOrderId} goes to ${terms.symbol}, which the exchange has closed`);
    const receivedMonoMs = bookReceived.get(terms.symbol) ?? Number.NEGATIVE_INFINITY;
    if (now - receivedMonoMs > facts.settings().maxMarketDataAgeMs)
      violated(`order ${clientOrderId} leans on a book of ${Math.round(now - receivedMonoMs)} ms ago`);
    for (const { record } of facts.execution()?.open.values() ?? [])
      if (record.order.terms.symbol === terms.symbol && record.order.state.status === 'unknown')
        violated(`order ${clientOrderId} is sent while the fate of ${record.order.clientOrderId} is unknown`);
    const others = mayExecute(account);
    for (const other of others)
      if (crosses(terms, other.terms)) violated(`order ${clientOrderId} may trade with an own order`);
    checkSize(write, others, account);
    checkMoney(write, others, account);
    const { maxOrdersPerMinute } = facts.settings().risk;
    sentAt = sentAt.filter(at => at > now - MINUTE_MS);
    sentAt.push(now);
    // Approvals are counted when they are given, departures a moment later: one of the minute before may still leave.
    if (maxOrdersPerMinute !== null && sentAt.length > maxOrdersPerMinute + 1)
      violated(`${sentAt.length} orders are sent within a minute`);
    posted.set(clientOrderId, terms);
  };

  return {
    onIncarnation: () => {
      recovered = false;
      sentAt = [];
      closedUntil.clear();
      notBefore.submit = Number.NEGATIVE_INFINITY;
      notBefore.cancel = Number.NEGATIVE_INFINITY;
    },
    onMessage: (from, to, message) => {
      if (to !== 'execution') return;
      if (from === 'reconciliation') {
        const { type, clean } = message as { readonly type: string; readonly clean?: boolean };
        if (type === 'reconciled') recovered = clean === true;
      } else if (from === 'market-data') noteBooks(message);
    },
    onWrite: (write, approval) => {
      const now = facts.monoMs();
      if (now < notBefore[write.type])
        violated(
          `a ${write.type} leaves ${Math.round(notBefore[write.type] - now)} ms before the pause ends`,
        );
      if (write.type === 'submit') {
        onSubmit(write, approval);
        return;
      }
      const order = facts.account().orders.get(Number(write.venueOrderId));
      if (order?.clientOrderId !== write.clientOrderId)
        violated(`a cancel of ${write.clientOrderId} names order ${write.venueOrderId}, which is another`);
    },
    onOutcome: (write, outcome) => {
      const words =
        outcome.type === 'rejected'
          ? outcome.reason
          : outcome.type === 'unknown'
            ? outcome.closed
            : undefined;
      const untilMonoMs = facts.monoMs() + CLOSED_MS;
      if (words === 'SYSTEM_UNDER_MAINTENANCE') closedUntil.set('', untilMonoMs);
      const symbol = posted.get(write.clientOrderId)?.symbol;
      if ((words === 'ORDER_INSERT_BLOCKED' || words === 'ORDER_CANCEL_BLOCKED') && symbol !== undefined)
        closedUntil.set(symbol, untilMonoMs);
      if (outcome.type !== 'unknown' || outcome.cause !== 'rate-limited') return;
      const pauseMs = outcome.retryAfterMs ?? 0;
      notBefore[write.type] = Math.max(notBefore[write.type], facts.monoMs() + pauseMs);
    },
    onAccount: noteMoney,
  };

  function noteBooks(message: unknown): void {
    const event = message as {
      readonly type: string;
      readonly book?: { readonly symbol: string; readonly receivedMonoMs: number };
      readonly events?: readonly unknown[];
    };
    if (event.type === 'book-updated' && event.book !== undefined)
      bookReceived.set(event.book.symbol, event.book.receivedMonoMs);
    for (const each of event.events ?? []) noteBooks(each);
  }
};

const crosses = (left: OrderTerms, right: OrderTerms): boolean => {
  if (left.symbol !== right.symbol || left.side === right.side) return false;
  const [buy, sell] = left.side === 'buy' ? [left, right] : [right, left];
  return buy.price === null || sell.price === null || buy.price >= sell.price;
};
