/**
 * Deliberate bugs, each of them one a person might make: edits of the sources, applied to a copy, never to what is built.
 * The simulator must find every one. An edit names text that occurs once, so that a change of the source that makes a
 * bug meaningless is noticed.
 */
export interface Edit {
  /** Below `src`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Mutant {
  readonly name: string;
  /** The bug in words. */
  readonly about: string;
  readonly edits: readonly Edit[];
}

const mutant = (name: string, about: string, ...edits: readonly Edit[]): Mutant => ({ name, about, edits });
const edit = (file: string, from: string, to: string): Edit => ({ file, from, to });

const FENCE = 'domain/fence.ts';
const SUBMIT = 'domain/execution-submit.ts';
const MACHINE = 'domain/order-machine.ts';
const HOLDS = 'domain/hold-set.ts';
const RISK = 'domain/risk.ts';
const ACCOUNTING = 'domain/accounting.ts';
const BOOKING = 'domain/fill-booking.ts';

export const MUTANTS: readonly Mutant[] = [
  mutant(
    'retry-a-post',
    'a submit whose answer does not come is sent again',
    edit(
      'simulation/sim-rest.ts',
      '      if (settled || !options.isAlive()) return;\n      settled = true;',
      `      if (settled || !options.isAlive()) return;
      if (reply.type === 'no-response' && request.method === 'POST' && sentMonoMs !== 0) {
        sentMonoMs = 0;
        travel(request, headersOf(request, key, clock, time.now().wallMs), settle);
        return;
      }
      settled = true;`,
    ),
  ),
  mutant(
    'skip-the-fence',
    'nothing is asked before the first byte',
    edit(FENCE, "  if (control === null) return 'no-control-state';", '  if (control !== null) return null;'),
  ),
  mutant(
    'forget-the-lease',
    'writes go on when the supervisor is silent',
    edit(FENCE, "  if (!(now.monoMs < input.leaseUntilMonoMs)) return 'lease-expired';", ''),
  ),
  mutant(
    'ignore-the-epoch',
    'a decision made under an older word of the supervisor still counts',
    edit(FENCE, "  if (approval.epoch !== control.epoch) return 'epoch-changed';", ''),
    edit(
      SUBMIT,
      "  if (state.control.epoch !== approval.epoch) return { code: 'fenced', detail: 'epoch-changed' };",
      '',
    ),
  ),
  mutant(
    'commit-after-send',
    'the order leaves while its intent is on the way to the disk',
    edit(
      SUBMIT,
      '  state.journaling.set(batch, tracked);\n',
      '  state.journaling.set(batch, tracked);\n  journaled(turn, batch);\n',
    ),
  ),
  mutant(
    'refused-journal-is-fine',
    'an intent that the disk refused is sent all the same',
    edit(
      SUBMIT,
      "  if (tracked.submit === 'journaling') denyOrder(turn, tracked, 'journal-failed', reason);",
      '  turn.state.journaling.set(batch, tracked);\n  journaled(turn, batch);',
    ),
  ),
  mutant(
    'count-a-fill-twice',
    'a fill that is shown again is booked again',
    edit(
      BOOKING,
      '  isBooked(state.accounting, fill.tradeId) || isBooked(state.foreignAccounting, fill.tradeId);',
      '  isBooked(state.foreignAccounting, fill.tradeId);',
    ),
    edit(
      ACCOUNTING,
      "  if (known !== undefined) return sameTrade(known, fill) ? 'repeated' : 'contradicted';",
      '',
    ),
    edit(ACCOUNTING, "  if (isSettled(accounting, fill.tradeId)) return 'settled';", ''),
  ),
  mutant(
    'drop-a-late-fill',
    'a fill that comes while its order is being canceled is not recorded',
    edit(
      BOOKING,
      "  if (outcome !== 'booked') return;\n",
      "  if (outcome !== 'booked' || tracked?.order.state.status === 'cancel-in-flight') return;\n",
    ),
  ),
  mutant(
    'deaf-to-maintenance',
    'a pair that the exchange has closed gets new orders all the same',
    edit('domain/venue-block.ts', '  return CLOSED_PAIR.test(words) ? symbol : null;', '  return null;'),
  ),
  mutant(
    'silence-is-rejection',
    'a submit without an answer counts as refused',
    edit(
      MACHINE,
      "  move(turn, { status: 'unknown', sinceMs: now.wallMs, cause: fact.cause, filled: record.booked });",
      "  move(turn, { status: 'rejected', reason: fact.cause });",
    ),
  ),
  mutant(
    'refused-cancel-is-the-end',
    'a cancel that the venue refuses, as for an order that ended, ends the order',
    edit(
      MACHINE,
      '  turn.record.cancelPending = false;\n  turn.evidenceWanted = true;\n',
      `  turn.record.cancelPending = false;
  turn.evidenceWanted = true;
  const { venueOrderId, booked } = turn.record;
  if (venueOrderId !== null) move(turn, { status: 'canceled', venueOrderId, filled: booked });
`,
    ),
  ),
  mutant(
    'queued-cancel-is-the-end',
    "the venue's 200 to a cancel counts as its end",
    edit(
      MACHINE,
      "  'cancel-in-flight': { ...OPEN, 'cancel-queued': stay, 'cancel-unknown': wantEvidence },",
      `  'cancel-in-flight': {
    ...OPEN,
    'cancel-queued': turn => {
      const { venueOrderId, booked } = turn.record;
      if (venueOrderId !== null) move(turn, { status: 'canceled', venueOrderId, filled: booked });
    },
    'cancel-unknown': wantEvidence,
  },`,
    ),
  ),
  mutant(
    'release-all-holds',
    'an operator who releases one hold releases all',
    edit(
      HOLDS,
      'may not release it` };\n  set.open.delete(key);',
      'may not release it` };\n  set.open.clear();',
    ),
  ),
  mutant(
    'clear-every-subject',
    'evidence about one symbol or order clears its whole cause',
    edit(
      HOLDS,
      "    case 'evidence':\n      set.open.delete(key);",
      "    case 'evidence':\n      for (const [other, { hold }] of set.open) if (hold.cause === cause) set.open.delete(other);",
    ),
  ),
  mutant(
    'no-trial',
    'what a probe may release ends at its first good word',
    edit(
      HOLDS,
      "    case 'probe': {\n",
      "    case 'probe': {\n      set.open.delete(key);\n      if (key !== '') return { type: 'released', hold: existing.hold };\n",
    ),
  ),
  mutant(
    'holds-without-effect',
    'a hold on everything is shown and forbids nothing',
    edit(
      'domain/trading-state.ts',
      "    restriction = stricter(restriction, wholeLevel(hold, facts.symbols) ?? 'none');",
      "    if (hold.cause === 'starting') restriction = stricter(restriction, wholeLevel(hold, facts.symbols) ?? 'none');",
    ),
  ),
  mutant(
    'latch-forgotten-at-restart',
    'safe mode does not outlive the process',
    edit(
      'domain/supervisor.ts',
      '  for (const hold of config.restoredHolds) restoreHold(holds, hold);\n',
      '',
    ),
  ),
  mutant(
    'restart-budget-never-ends',
    'a worker that keeps crashing is started for ever',
    edit('domain/restart-budget.ts', 'exhausted: crashes.length >= budget.limit', 'exhausted: false'),
  ),
  mutant(
    'recovery-skipped',
    'orders are sent before ledger and venue are proven equal',
    edit('domain/execution-state.ts', '    recovered: false,', '    recovered: true,'),
    edit(RISK, '  if (!input.recovered || account === null)', '  if (account === null)'),
    edit('domain/execution.ts', "  if (!state.recovered) return 'not-recovered';", ''),
    edit(SUBMIT, "  if (!state.recovered) return { code: 'not-recovered', detail: '' };", ''),
  ),
  mutant(
    'open-orders-forgotten-at-restart',
    'execution starts without the orders that the journal has open',
    edit(
      'domain/execution-state.ts',
      '  for (const order of snapshot.openOrders) {',
      '  for (const order of snapshot.openOrders.slice(0, 0)) {',
    ),
  ),
  mutant(
    'exposure-ignores-in-flight',
    'orders on their way do not count towards the limits',
    edit(
      SUBMIT,
      '    openOrders.push({ terms: record.order.terms, remaining: worstRemaining(record) });',
      "    if (record.order.state.status === 'working')\n      openOrders.push({ terms: record.order.terms, remaining: worstRemaining(record) });",
    ),
  ),
  mutant(
    'exposure-ignores-unknown',
    'orders of unknown fate block nothing and count nothing',
    edit(
      SUBMIT,
      "    if (record.order.state.status === 'unknown') unknownSymbols.add(record.order.terms.symbol);",
      "    if (record.order.state.status === 'unknown') openOrders.pop();",
    ),
    edit(
      SUBMIT,
      "    if (record.order.state.status === 'unknown' && record.order.terms.symbol === symbol)",
      "    if (record.order.state.status === 'unknown' && record.order.terms.symbol === '')",
    ),
    edit(
      'domain/execution-detectors.ts',
      '  if (unknown > 0) askForHold(',
      '  if (unknown > 99) askForHold(',
    ),
  ),
  mutant(
    'one-order-too-many',
    'the limit on open orders is off by one',
    edit(
      RISK,
      '  if (openOnSymbol + 1 > limits.maxOpenOrdersPerSymbol)',
      '  if (openOnSymbol > limits.maxOpenOrdersPerSymbol)',
    ),
  ),
  mutant(
    'order-value-unlimited',
    'the limit on the value of one order is not asked',
    edit(RISK, '  if (notionalTry > limits.maxNotionalPerOrderTry)', '  if (notionalTry === null)'),
  ),
  mutant(
    'position-ignores-open-orders',
    'the position that open orders may lead to is not counted',
    edit(
      RISK,
      '  const positionAfter = worstPosition(position, after, terms.side);',
      '  const positionAfter = abs(position);',
    ),
  ),
  mutant(
    'self-trade-allowed',
    'an order may cross an own one',
    edit(
      'domain/exposure.ts',
      '  if (left.symbol !== right.symbol || left.side === right.side) return false;',
      '  if (left.symbol === right.symbol || left.side === right.side) return false;',
    ),
  ),
  mutant(
    'balance-from-cache',
    'what open orders take is forgotten, of the last balances and of our own books',
    edit(
      SUBMIT,
      '    add(committed, terms, worstRemaining(record));\n    if (!isReflected(tracked)) add(',
      "    if (record.order.clientOrderId === '') add(committed, terms, worstRemaining(record));\n    if (record.order.clientOrderId === '') add(",
    ),
  ),
  mutant(
    'stale-book-accepted',
    'the age of the book that an order leans on is not asked',
    edit(RISK, '  if (!(bookAgeMs <= input.maxMarketDataAgeMs))', '  if (bookAgeMs === null)'),
    edit(RISK, '  if (!(now.monoMs - decidedOn <= input.maxMarketDataAgeMs))', '  if (decidedOn === null)'),
    edit(
      RISK,
      'Math.min(intent.validUntilMonoMs, book.receivedMonoMs + input.maxMarketDataAgeMs)',
      'intent.validUntilMonoMs',
    ),
  ),
  mutant(
    'ignore-retry-after',
    'after a 429 the next request leaves when it wants',
    edit(
      'domain/request-budget.ts',
      '  pauseUntil(budget, name, nowMonoMs + pauseMs(name, retryAfterMs));',
      '  pauseUntil(budget, name, nowMonoMs);',
    ),
  ),
  mutant(
    'foreign-order-canceled',
    'an order that a person places is taken for the newest of ours, and canceled in its place',
    edit(
      'domain/reconciliation-state.ts',
      '  return label === null ? undefined : (state.live.get(label) ?? state.settled.get(label));',
      '  return label === null ? undefined : (state.live.get(label) ?? state.settled.get(label) ?? [...state.live.values()].at(-1));',
    ),
  ),
  mutant(
    'absent-too-early',
    'one look that does not show an unknown order proves that it never was',
    edit('domain/evidence.ts', ' ? 0 : config.absenceWindowMs;', ' ? 0 : 0 * config.absenceWindowMs;'),
  ),
  mutant(
    'wrong-side-position',
    'a buy makes the position smaller',
    edit(
      ACCOUNTING,
      "  const sign = side === 'buy' ? 1n : -1n;",
      "  const sign = side === 'buy' ? -1n : 1n;",
    ),
  ),
  mutant(
    'fee-forgotten',
    'fees and tax are not taken off the expected balances',
    edit(ACCOUNTING, '  add(sums, fill.feeAsset, -(fill.fee + fill.tax));', ''),
  ),
  mutant(
    'cancels-in-safe-mode',
    'cancels leave in every state',
    edit(
      FENCE,
      "  if (control.state === 'observe-only') return false;",
      '  if (origin !== null) return true;',
    ),
  ),
];
