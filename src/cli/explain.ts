import type { Fill } from '../domain/order.js';
import type { AuditLine, LedgerReader, OrderLine, TransitionLine } from '../ledger/reader.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, withBooks } from './books.js';
import { fillJson } from './fills.js';
import { orderJson } from './orders.js';
import { CliRefused } from './refused.js';
import { exact, json, jsonAmount, jsonTime, renderTable, time } from './table.js';
import type { Verb } from './verb.js';

/** One thing that happened, from whichever record it is known. */
interface Step {
  readonly atMs: number;
  readonly actor: string;
  readonly event: string;
  readonly id: string | null;
  readonly cause: string | null;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

export const verb: Verb = {
  name: 'explain',
  usage: `explain <order> ${BOOKS_USAGE}`,
  about: `Follows one order from the event that led to it to its last fill: what was decided on which numbers, and when.

<order> is a client order id, an order id of the exchange, or an intent id (also of an intent that was denied).
JSON: { mode, database, order | null, timings: { intendedToSentMs, sentToAnsweredMs, intendedToFirstFillMs,
intendedToSettledMs }, steps: [{ at, actor, event, id, cause, facts }], fills: [] }; times a step in UTC, null where
nothing is known yet.`,
  options: { ...BOOKS_OPTIONS },
  run: ({ values, positionals }, io) => {
    const [reference, ...more] = positionals;
    if (reference === undefined || more.length > 0)
      throw new CliRefused('name one order: btcbot explain <order>; btcbot orders lists them');
    return withBooks(values, io, books => {
      const story = tell(books, reference);
      if (story === undefined)
        throw new CliRefused(`the ledger knows no order or intent ${JSON.stringify(reference)}`);
      io.out(values.json === true ? json(storyJson(books, story)) : storyText(story));
      return 0;
    });
  },
};

interface Story {
  readonly order: OrderLine | undefined;
  readonly steps: readonly Step[];
  readonly fills: readonly Fill[];
  readonly timings: Readonly<Record<string, number | null>>;
}

const tell = (books: LedgerReader, reference: string): Story | undefined => {
  const order = books.findOrder(reference);
  const decisions = books.decisions({
    ...(order === undefined ? {} : { order }),
    intentId: order?.order.intentId ?? reference,
  });
  if (order === undefined && decisions.length === 0) return undefined;
  const id = order?.order.clientOrderId;
  const transitions = id === undefined ? [] : books.transitions(id);
  const fills = id === undefined ? [] : books.fills({ clientOrderId: id });
  return {
    order,
    fills,
    steps: inOrder(decisions, transitions, fills),
    timings: timingsOf(order, transitions, fills),
  };
};

/** One line of time. A transition that a decision already tells of is not told twice. */
const inOrder = (
  decisions: readonly AuditLine[],
  transitions: readonly TransitionLine[],
  fills: readonly Fill[],
): Step[] => {
  const told = new Set(decisions.filter(line => line.event.startsWith('order-')).map(line => line.id));
  const steps: Step[] = [
    ...decisions.map(({ atMs, actor, event, id, cause, facts }) => ({
      atMs,
      actor,
      event,
      id,
      cause,
      facts,
    })),
    ...transitions
      .filter(transition => transition.status === 'intended' || !told.has(transition.cause))
      .map(transition => ({
        atMs: transition.atMs,
        actor: 'ledger',
        event: `order-${transition.status}`,
        id: null,
        cause: transition.cause,
        facts: withoutEmpty({
          venueOrderId: transition.venueOrderId,
          filled: jsonAmount(transition.filled),
          reason: transition.reason,
          detail: transition.detail,
        }),
      })),
    ...fills.map(fill => ({
      atMs: fill.executedAtMs,
      actor: 'exchange',
      event: 'fill',
      id: null,
      cause: null,
      facts: {
        tradeId: fill.tradeId,
        price: exact(fill.price),
        quantity: exact(fill.quantity),
        fee: exact(fill.fee),
        tax: exact(fill.tax),
        feeAsset: fill.feeAsset,
      },
    })),
  ];
  // Stable: what carries the same millisecond keeps the order in which it was recorded.
  return steps.sort((left, right) => left.atMs - right.atMs);
};

const timingsOf = (
  line: OrderLine | undefined,
  transitions: readonly TransitionLine[],
  fills: readonly Fill[],
): Story['timings'] => {
  const order = line?.order;
  const answered = transitions.find(
    transition => !['intended', 'in-flight', 'unknown', 'denied'].includes(transition.status),
  );
  const between = (from: number | null | undefined, to: number | null | undefined): number | null =>
    from == null || to == null ? null : to - from;
  return {
    intendedToSentMs: between(order?.intendedAtMs, order?.sentAtMs),
    sentToAnsweredMs: between(order?.sentAtMs, answered?.atMs),
    intendedToFirstFillMs: between(order?.intendedAtMs, fills[0]?.executedAtMs),
    intendedToSettledMs: between(order?.intendedAtMs, order?.settledAtMs),
  };
};

const storyJson = (books: LedgerReader, story: Story): Record<string, unknown> => ({
  mode: books.mode,
  database: books.path,
  order: story.order === undefined ? null : orderJson(story.order),
  timings: story.timings,
  steps: story.steps.map(step => ({
    at: jsonTime(step.atMs),
    actor: step.actor,
    event: step.event,
    id: step.id,
    cause: step.cause,
    facts: step.facts,
  })),
  fills: story.fills.map(fillJson),
});

const storyText = (story: Story): string => {
  const parts: string[] = [];
  if (story.order !== undefined) parts.push(headline(story.order));
  const first = story.steps[0]?.atMs ?? 0;
  parts.push(
    renderTable(
      [
        { title: 'time', cell: step => time(step.atMs) },
        { title: '+ms', align: 'right', cell: step => String(step.atMs - first) },
        { title: 'actor', cell: step => step.actor },
        { title: 'event', cell: step => step.event },
        { title: 'id', cell: step => step.id ?? '' },
        { title: 'because of', cell: step => step.cause ?? '' },
        { title: 'facts', cell: step => factsText(step.facts) },
      ],
      story.steps,
      'no decision was recorded',
    ),
  );
  const known = Object.entries(story.timings).filter(([, ms]) => ms !== null);
  if (known.length > 0) parts.push(`${known.map(([name, ms]) => `${name} ${ms}`).join(', ')}\n`);
  return parts.join('\n');
};

const headline = (line: OrderLine): string => {
  const { order } = line;
  const { terms } = order;
  return [
    `${order.clientOrderId}: ${terms.side} ${exact(terms.quantity)} ${terms.symbol} ${terms.method}` +
      `${terms.price === null ? '' : ` at ${exact(terms.price)}`}, now ${order.state.status}, filled ${exact(line.filled)}`,
    `strategy ${order.strategy}${order.tag === undefined ? '' : ` (${order.tag})`}, intent ${order.intentId}, configuration ${order.configHash}, caused by ${order.cause}`,
    ...(line.venueOrderId === null ? [] : [`at the exchange: ${line.venueOrderId}`]),
    '',
  ].join('\n');
};

const factsText = (facts: Step['facts']): string =>
  Object.entries(facts)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${value === null ? '-' : String(value)}`)
    .join(' ');

const withoutEmpty = (facts: Record<string, string | null>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(facts).filter((entry): entry is [string, string] => entry[1] !== null && entry[1] !== ''),
  );
