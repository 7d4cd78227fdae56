import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { formatDecimal } from '#src/domain/money.js';
import type { OrderStatus } from '#src/domain/order.js';
import {
  applyOrderFact,
  ORDER_TABLE,
  type OrderFact,
  type OrderRecord,
  orderRecord as recordOf,
  worstRemaining,
} from '#src/domain/order-machine.js';
import { d, fillOf, limitTerms, orderIn, recordIn, reportOf } from './orders.js';

/** What each history comes to, a line each. A changed line is a changed machine: `BTCBOT_WRITE=1` writes them anew when that is meant. */
const FILE = join('test', 'domain', 'order-histories.txt');
const now = { monoMs: 50_000, wallMs: 9_000 };

const reported = (report: ReturnType<typeof reportOf>, asOfMonoMs = 40_000): OrderFact => ({
  type: 'reported',
  report,
  asOfMonoMs,
});
const booked = (fill: ReturnType<typeof fillOf>, orderFilled = fill.quantity): OrderFact => ({
  type: 'fill-booked',
  fill,
  orderFilled,
});

/** Facts as they come, and as they come when something is odd. */
const FACTS: Readonly<Record<string, OrderFact>> = {
  journaled: { type: 'journaled' },
  sent: { type: 'sent' },
  confirmed: { type: 'submit-confirmed', venueOrderId: 'V1' },
  'confirmed as another': { type: 'submit-confirmed', venueOrderId: 'V2' },
  rejected: { type: 'submit-rejected', reason: 'FAILED' },
  denied: { type: 'submit-denied', reason: 'fenced' },
  unanswered: { type: 'submit-unknown', cause: 'timeout' },
  'cancel sent': { type: 'cancel-sent' },
  'cancel queued': { type: 'cancel-queued' },
  'cancel rejected': { type: 'cancel-rejected' },
  'cancel denied': { type: 'cancel-denied' },
  'cancel unanswered': { type: 'cancel-unknown' },
  'hint inserted': { type: 'hint-inserted', venueOrderId: 'V1' },
  'hint removed': { type: 'hint-removed', venueOrderId: 'V1' },
  'hint matched': { type: 'hint-matched', venueOrderId: 'V1' },
  'hint of another': { type: 'hint-inserted', venueOrderId: 'V2' },
  'shown untouched': reported(reportOf('untouched', '0')),
  'shown partial': reported(reportOf('partial', '4')),
  'shown canceled untouched': reported(reportOf('canceled', '0')),
  'shown canceled at 4': reported(reportOf('canceled', '4')),
  'shown closed': reported(reportOf('closed', '10')),
  'shown closed at 4': reported(reportOf('closed', '4')),
  'shown long ago': reported(reportOf('untouched', '0'), 1),
  'shown live long after': reported(reportOf('untouched', '0'), 90_000),
  'shown as another': reported(reportOf('untouched', '0', { venueOrderId: 'V2' })),
  'shown with another price': reported(reportOf('untouched', '0', { price: d('101') })),
  'shown of another side': reported(reportOf('untouched', '0', { side: 'sell' })),
  'shown with more left than there was': reported(reportOf('partial', '0', { remaining: d('11') })),
  'fill of 4': booked(fillOf('4')),
  'fill of all': booked(fillOf('10')),
  'fill of too much': booked(fillOf('12')),
  'fill of another side': booked(fillOf('4', { side: 'sell' })),
  'fill as another': booked(fillOf('4', { venueOrderId: 'V2' })),
  'fill after unheard ones': booked(fillOf('4', { tradeId: '7' }), d('6')),
  'fill with a total too low': booked(fillOf('4', { tradeId: '8' }), d('3')),
  'absence proven': { type: 'absence-proven', evidence: 'nowhere' },
  'process ended': { type: 'process-ended' },
};

/** What went before. */
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  '': [],
  'fill of 4, ': ['fill of 4'],
  'cancel sent, shown canceled at 4, ': ['cancel sent', 'shown canceled at 4'],
};
const WITH_A_PAST: ReadonlySet<OrderStatus> = new Set(['unknown', 'working', 'canceled']);

const stateOf = ({ order }: OrderRecord): string => {
  const { status, ...rest } = order.state;
  const words = Object.entries(rest).map(
    ([name, value]) => `${name} ${typeof value === 'bigint' ? formatDecimal(value) : String(value)}`,
  );
  return [status, ...words, `settled ${order.settledAtMs ?? '-'}`, `sent ${order.sentAtMs ?? '-'}`].join(
    ', ',
  );
};

/** What a fact comes to, in one line. */
const outcomeOf = (record: OrderRecord, fact: OrderFact): string => {
  const { changed, evidenceWanted, fill, findings } = applyOrderFact(record, fact, now);
  return [
    stateOf(record),
    changed ? 'changed' : 'as it was',
    ...(evidenceWanted ? ['ask'] : []),
    ...(fill === null ? [] : [`fill ${fill.tradeId}`]),
    ...findings.map(({ kind, what, detail }) => `${kind} ${what} (${detail})`),
    `id ${record.venueOrderId ?? '-'}, booked ${formatDecimal(record.booked)}, left ${formatDecimal(worstRemaining(record))}`,
    ...(record.cancelPending ? ['cancel pending'] : []),
    ...(record.strays.length > 0 ? [`strays ${record.strays.join(' ')}`] : []),
    ...(record.journaled ? [] : ['not journaled']),
  ].join(' | ');
};

const factNamed = (name: string): OrderFact => {
  const fact = FACTS[name];
  if (fact === undefined) throw new Error(`there is no fact ${name}`);
  return fact;
};

const histories = (): string[] => {
  const lines: string[] = [];
  for (const status of Object.keys(ORDER_TABLE) as OrderStatus[])
    for (const [past, names] of Object.entries(BEFORE)) {
      if (names.length > 0 && !WITH_A_PAST.has(status)) continue;
      for (const [name, fact] of Object.entries(FACTS)) {
        const record = recordIn(status);
        for (const earlier of names) applyOrderFact(record, factNamed(earlier), now);
        lines.push(`${status}: ${past}${name} -> ${outcomeOf(record, fact)}`);
      }
    }
  const marketBuy = limitTerms({ method: 'market', price: null, quoteQuantity: d('1000') });
  const marketSell = limitTerms({ method: 'market', side: 'sell', price: null });
  for (const [what, terms, side] of [
    ['market buy', marketBuy, 'buy'],
    ['market sell', marketSell, 'sell'],
  ] as const)
    for (const status of ['in-flight', 'working', 'canceled'] as const)
      for (const quantity of ['4', '10', '12'])
        lines.push(
          `${what} ${status}: fill of ${quantity} -> ${outcomeOf(recordIn(status, terms), booked(fillOf(quantity, { side })))}`,
        );
  const unjournaled = recordIn('intended');
  unjournaled.journaled = false;
  lines.push(`intended, not journaled: sent -> ${outcomeOf(unjournaled, factNamed('sent'))}`);
  return lines;
};

describe('histories of orders', () => {
  it('come to what is written down, in every state and for every fact, the odd ones too', () => {
    const lines = histories();
    if (process.env.BTCBOT_WRITE === '1') writeFileSync(FILE, `${lines.join('\n')}\n`);
    const written = readFileSync(FILE, 'utf8').trimEnd().split('\n');
    expect(lines).to.deep.equal(written);
  });

  it('begin with what the journal has of them', () => {
    const fresh = orderIn({ status: 'intended' });
    const { journaled, booked: none, tradeIds } = recordOf(fresh, []);
    expect([journaled, none, tradeIds.size]).to.deep.equal([false, 0n, 0]);
    const filled = recordOf(fresh, [fillOf('4'), fillOf('3', { tradeId: '2' })]);
    expect([filled.journaled, filled.booked, filled.venueOrderId]).to.deep.equal([true, d('7'), 'V1']);
    expect([...filled.tradeIds]).to.deep.equal(['1263118840021773311', '2']);
    expect(recordOf(orderIn({ status: 'in-flight', sentAtMs: 1 }), []).journaled).to.equal(true);
  });
});
