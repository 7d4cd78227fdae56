/** What a canary run leaves behind: what was sent, what came back, and a verdict on each thing it was to show. */
import { fillEffects, pairFromSymbol } from '../domain/accounting.js';
import { type Amount, formatDecimal, notional, type Price, type Quantity } from '../domain/money.js';
import type { Fill } from '../domain/order.js';
import type { Balance } from '../domain/venue-port.js';
import type { LedgerReader, TransitionLine } from '../ledger/reader.js';
import type { CanaryRun } from './canary-run.js';

export interface CanaryVerdict {
  readonly name: string;
  readonly passed: boolean;
  readonly detail: string;
}

/** One order, as the ledger has it; amounts are exact decimal text, times UTC. */
export interface CanaryOrder {
  readonly clientOrderId: string;
  readonly venueOrderId: string | null;
  readonly side: string;
  readonly price: string;
  readonly quantity: string;
  readonly filled: string;
  readonly state: string;
  readonly events: readonly { readonly at: string; readonly status: string; readonly detail: string }[];
}

export interface CanaryEvidence {
  readonly passed: boolean;
  readonly build: string;
  readonly configHash: string;
  readonly symbol: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly caps: Readonly<Record<string, string | number>>;
  readonly orders: readonly CanaryOrder[];
  readonly fills: readonly Readonly<Record<string, string>>[];
  /** By asset of the symbol: the venue's totals before and after, as it told them. */
  readonly balances: Readonly<Record<string, { readonly before: string; readonly after: string }>>;
  readonly warnings: readonly { readonly at: string; readonly event: string; readonly detail: string }[];
  readonly verdicts: readonly CanaryVerdict[];
}

/** The account as a signed read shows it, with our own open orders in it. */
export interface AccountPicture {
  readonly balances: readonly Balance[];
  readonly ownOpenOrders: readonly string[];
}

export interface CanaryFacts {
  readonly build: string;
  readonly configHash: string;
  readonly symbol: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly caps: Readonly<Record<string, string | number>>;
  /** Most lira that one order was to be worth; null on a pair whose quote is no lira. */
  readonly notionalMax: Amount | null;
  readonly run: CanaryRun;
  readonly before: AccountPicture;
  /** Null when the account could not be read afterwards. */
  readonly after: AccountPicture | null;
  readonly sent: readonly SentOrder[];
  readonly fills: readonly Fill[];
}

export interface SentOrder {
  readonly clientOrderId: string;
  readonly venueOrderId: string | null;
  readonly side: string;
  readonly price: Price;
  readonly quantity: Quantity;
  readonly filled: Amount;
  readonly state: string;
  readonly transitions: readonly TransitionLine[];
}

/** The orders of the canary since `fromMs`, and their fills. */
export const sentSince = (
  books: LedgerReader,
  fromMs: number,
): { readonly sent: readonly SentOrder[]; readonly fills: readonly Fill[] } => {
  const sent = books
    .orders()
    .filter(({ order }) => order.strategy === 'canary' && order.intendedAtMs >= fromMs)
    .map(
      ({ order, venueOrderId, filled }): SentOrder => ({
        clientOrderId: order.clientOrderId,
        venueOrderId,
        side: order.terms.side,
        price: order.terms.price ?? 0n,
        quantity: order.terms.quantity,
        filled,
        state: order.state.status,
        transitions: books.transitions(order.clientOrderId),
      }),
    );
  return { sent, fills: sent.flatMap(({ clientOrderId }) => books.fills({ clientOrderId })) };
};

const iso = (ms: number): string => new Date(ms).toISOString();
const totalOf = (balances: readonly Balance[], asset: string): Amount =>
  balances.find(balance => balance.asset === asset)?.total ?? 0n;

/** Judges a run. */
export const canaryEvidence = (facts: CanaryFacts): CanaryEvidence => {
  const { run, before, after, sent, fills } = facts;
  const pair = pairFromSymbol(facts.symbol);
  const assets = [pair.base, pair.quote];
  const verdicts: readonly CanaryVerdict[] = [
    verdict('armed', run.wasLive, 'the bot became live', 'the bot never became live'),
    verdict('plan carried out', run.finished, 'to its end', 'it ended before its end'),
    verdict(
      'no warning',
      run.warnings.length === 0,
      'none',
      run.warnings.map(({ event, detail }) => `${event}: ${detail}`)[0] ?? '',
    ),
    verdict(
      'clean stop',
      run.exitCode === 0,
      'exit code 0',
      `exit code ${run.exitCode ?? 'none'}${run.stderr === '' ? '' : `: ${run.stderr.slice(0, 500)}`}`,
    ),
    verdict('something was sent', sent.length > 0, `${sent.length} orders`, 'no order was sent'),
    ...perOrder(facts),
    verdict(
      'one at a time',
      overlaps(sent) === null,
      'no two orders were open together',
      `${overlaps(sent)} was open together with another`,
    ),
    ...flat(facts, pair.base),
    verdict(
      'nothing left open',
      after !== null && after.ownOpenOrders.length === 0,
      'the exchange shows none of our orders',
      after === null ? 'the exchange could not be asked' : `left: ${after.ownOpenOrders.join(', ')}`,
    ),
    ...(after === null ? [] : assets.map(asset => explained(asset, before, after, fills, facts.symbol))),
  ];
  return {
    passed: verdicts.every(({ passed }) => passed),
    build: facts.build,
    configHash: facts.configHash,
    symbol: facts.symbol,
    startedAt: iso(facts.startedAtMs),
    endedAt: iso(facts.endedAtMs),
    caps: facts.caps,
    orders: sent.map(order => ({
      clientOrderId: order.clientOrderId,
      venueOrderId: order.venueOrderId,
      side: order.side,
      price: formatDecimal(order.price),
      quantity: formatDecimal(order.quantity),
      filled: formatDecimal(order.filled),
      state: order.state,
      events: order.transitions.map(({ atMs, status, detail }) => ({ at: iso(atMs), status, detail })),
    })),
    fills: fills.map(fill => ({
      tradeId: fill.tradeId,
      venueOrderId: fill.venueOrderId,
      side: fill.side,
      price: formatDecimal(fill.price),
      quantity: formatDecimal(fill.quantity),
      fee: formatDecimal(fill.fee),
      tax: formatDecimal(fill.tax),
      feeAsset: fill.feeAsset,
      at: iso(fill.executedAtMs),
    })),
    balances: Object.fromEntries(
      assets.map(asset => [
        asset,
        {
          before: formatDecimal(totalOf(before.balances, asset)),
          after: after === null ? 'not read' : formatDecimal(totalOf(after.balances, asset)),
        },
      ]),
    ),
    warnings: run.warnings.map(({ atMs, event, detail }) => ({ at: iso(atMs), event, detail })),
    verdicts,
  };
};

const verdict = (name: string, passed: boolean, whenPassed: string, whenNot: string): CanaryVerdict => ({
  name,
  passed,
  detail: passed ? whenPassed : whenNot,
});

/** Each order was small enough, was taken by the exchange, and has ended as an order ends. */
const perOrder = ({ sent, notionalMax }: CanaryFacts): readonly CanaryVerdict[] =>
  sent.flatMap((order, index): readonly CanaryVerdict[] => {
    const name = `order ${index + 1}, ${order.side}`;
    const value = notional(order.price, order.quantity);
    const ended = order.state === 'filled' || order.state === 'canceled';
    return [
      verdict(
        `${name}: taken and ended`,
        order.venueOrderId !== null && ended,
        `${order.venueOrderId ?? '-'} ${order.state}`,
        `${order.venueOrderId ?? 'no id of the exchange'}, ${order.state}`,
      ),
      ...(notionalMax === null
        ? []
        : [
            verdict(
              `${name}: within its cap`,
              value <= notionalMax,
              formatDecimal(value),
              `${formatDecimal(value)} is more than ${formatDecimal(notionalMax)}`,
            ),
          ]),
    ];
  });

/** @returns the first order whose life began before the one before it had ended; null when there is none. */
const overlaps = (sent: readonly SentOrder[]): string | null => {
  for (const [index, order] of sent.entries()) {
    const began = order.transitions[0]?.atMs ?? 0;
    const endedBefore = sent[index - 1]?.transitions.at(-1)?.atMs ?? 0;
    if (began < endedBefore) return order.clientOrderId;
  }
  return null;
};

const flat = ({ fills }: CanaryFacts, base: string): readonly CanaryVerdict[] => {
  let held = 0n;
  for (const fill of fills) held += fill.side === 'buy' ? fill.quantity : -fill.quantity;
  return [
    verdict(
      'flat',
      held === 0n,
      `as much ${base} as before`,
      `${formatDecimal(held)} ${base} more than before`,
    ),
  ];
};

/** What the exchange holds now is what it held before and what the fills did to it, to the last digit. */
const explained = (
  asset: string,
  before: AccountPicture,
  after: AccountPicture,
  fills: readonly Fill[],
  symbol: string,
): CanaryVerdict => {
  let expected = totalOf(before.balances, asset);
  for (const fill of fills)
    expected += fillEffects(fill, pairFromSymbol(symbol, fill.feeAsset)).get(asset) ?? 0n;
  const found = totalOf(after.balances, asset);
  return verdict(
    `${asset} explained`,
    found === expected,
    `${formatDecimal(found)}, to the last digit`,
    `${formatDecimal(found)} instead of ${formatDecimal(expected)}`,
  );
};

/** The evidence for people. */
export const evidenceText = (evidence: CanaryEvidence, file: string): string =>
  [
    ...evidence.verdicts.map(({ name, passed, detail }) => `${passed ? 'pass' : 'FAIL'}  ${name}: ${detail}`),
    '',
    `${evidence.passed ? 'clean' : 'NOT CLEAN'}; the evidence is in ${file}`,
    '',
  ].join('\n');
