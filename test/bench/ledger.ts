/**
 * Speed of the books, run by hand: `node dist/test/bench/ledger.js [orders]`. Durable commits alone and in groups, the
 * time to open a ledger with many orders and to read its snapshot, and to fold its fills.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bookFill, initialAccounting, pairFromSymbol } from '#src/domain/accounting.js';
import type { LedgerRecord } from '#src/domain/ledger-records.js';
import { openLedger } from '#src/ledger/store.js';
import { audited, filled, intended, moved } from '../ledger/fixtures.js';

const orders = Number(process.argv[2] ?? 100_000);
const directory = mkdtempSync(join(tmpdir(), 'btcbot-bench-'));
const path = join(directory, 'a.sqlite');

const timed = <T>(work: () => T): { readonly ms: number; readonly result: T } => {
  const started = performance.now();
  const result = work();
  return { ms: performance.now() - started, result };
};

const say = (what: string, figure: string): void => console.log(`${what.padEnd(52)} ${figure}`);

/** A whole life: intent, decision, sending, answer, fill, end. */
const life = (n: number): LedgerRecord[] => {
  const id = `bb-0123abcd-1-maker-${n.toString(36)}`;
  const venueOrderId = String(31_840_000_000 + n);
  return [
    intended(id),
    audited(`execution:1:${n}`, `strategy:1:${n}`, 'intent-approved', {
      clientOrderId: id,
      notional: '500.25',
    }),
    moved(id, { status: 'in-flight', sentAtMs: 1 }),
    moved(id, { status: 'working', venueOrderId, filled: 0n }),
    filled(`t${n}`, { clientOrderId: id, venueOrderId, executedAtMs: 1_790_000_000_000 + n }),
    moved(id, { status: 'filled', venueOrderId, filled: 10n ** 15n }),
  ];
};

try {
  let ledger = openLedger({ path, mode: 'paper' });
  for (const group of [1, 10, 100]) {
    const rounds = 300;
    const latencies: number[] = [];
    const { ms } = timed(() => {
      for (let round = 0; round < rounds; round++) {
        const batches = Array.from({ length: group }, (_, n) => [
          intended(`g${group}-${round}-${n}`),
          moved(`g${group}-${round}-${n}`, { status: 'denied', reason: 'bench' }),
        ]);
        latencies.push(timed(() => ledger.appendGroup(batches)).ms);
      }
    });
    latencies.sort((left, right) => left - right);
    const at = (share: number): string => `${(latencies[Math.floor(share * rounds)] ?? 0).toFixed(2)} ms`;
    say(
      `durable commits, ${group} intents each`,
      `${((rounds * 1_000) / ms).toFixed(0)}/s, ${((rounds * group * 1_000) / ms).toFixed(0)} intents/s, p50 ${at(0.5)}, p99 ${at(0.99)}`,
    );
  }
  const { ms: built } = timed(() => {
    for (let n = 0; n < orders; n += 200) {
      ledger.appendGroup(Array.from({ length: Math.min(200, orders - n) }, (_, k) => life(n + k)));
      if (n % 20_000 === 0) ledger.checkpoint('passive');
    }
  });
  say(`lives of ${orders} orders written`, `${built.toFixed(0)} ms`);
  ledger.close();
  say('file', `${(statSync(path).size / 1e6).toFixed(0)} MB`);

  const opened = timed(() => openLedger({ path, mode: 'paper' }));
  ledger = opened.result;
  say(`open and check (${ledger.integrity})`, `${opened.ms.toFixed(0)} ms`);
  const { ms: read, result: snapshot } = timed(() => ledger.snapshot());
  say(
    `snapshot: ${snapshot.openOrders.length} open orders, ${snapshot.fills.length} fills`,
    `${read.toFixed(0)} ms`,
  );
  const folded = timed(() => {
    const accounting = initialAccounting(null);
    for (const fill of snapshot.fills) bookFill(accounting, fill, pairFromSymbol(fill.symbol, fill.feeAsset));
  });
  const without = timed(() => ledger.snapshot({ fills: false }));
  say('snapshot without fills', `${without.ms.toFixed(0)} ms`);
  say('fold of the fills', `${folded.ms.toFixed(0)} ms`);
  say('recovery from the journal in all', `${(opened.ms + read + folded.ms).toFixed(0)} ms`);
  ledger.close();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
