import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import { type Ledger, LedgerBroken, openLedger } from '#src/ledger/store.js';
import { filled, intended, scratch } from './fixtures.js';

const APPEND_LOOP = fileURLToPath(new URL('children/append-loop.js', import.meta.url));
const kills = Math.min(Number(process.env.BTCBOT_RUNS ?? 10), 500);
const straceMissing = spawnSync('strace', ['-V']).error !== undefined;

const idsIn = (path: string): string[] => {
  const ledger = openLedger({ path, mode: 'paper' });
  try {
    return ledger.snapshot().openOrders.map(each => each.clientOrderId);
  } finally {
    ledger.close();
  }
};

/** Kills the child once it has said `acks` acknowledgements; 0 kills it as soon as it has opened the file. */
const killAfter = async (
  child: ChildProcess,
  acks: number,
): Promise<{ readonly run: string; readonly acked: number }> => {
  let run = '';
  let acked = 0;
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  lines.on('line', line => {
    if (line.startsWith('open ')) run = line.slice(5);
    if (line.startsWith('acked ')) acked += 1;
    if (acked >= acks) child.kill('SIGKILL');
  });
  await Promise.all([exited, once(lines, 'close')]);
  return { run, acked };
};

describe('ledger durability', () => {
  const dir = scratch();

  it(`keeps every acknowledged batch through ${kills} kills, during commits, checkpoints and openings`, async function () {
    this.timeout(20_000 + kills * 2_000);
    const path = dir.file('a.sqlite');
    const promised = new Map<string, number>();
    for (let kill = 0; kill < kills; kill++) {
      const child = spawn(process.execPath, [APPEND_LOOP, path, '0', String(kill % 3)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { run, acked } = await killAfter(child, kill % 5 === 4 ? 0 : 1 + ((kill * 7) % 23));
      promised.set(run, acked);
    }
    expect(promised.size).to.equal(kills);
    const found = new Map<string, number[]>();
    for (const id of idsIn(path)) {
      const [run = '', n = ''] = id.slice(1).split('-');
      found.set(run, [...(found.get(run) ?? []), Number(n)]);
    }
    for (const [run, acked] of promised) {
      const numbers = found.get(run) ?? [];
      expect(numbers.length, `run ${run}`).to.be.at.least(acked);
      expect(numbers, `run ${run} has no hole`).to.deep.equal(numbers.map((_, index) => index + 1));
    }
  });

  describe('by the system calls', () => {
    before(function () {
      if (straceMissing) {
        console.log('      strace is not installed: the system calls are not looked at here');
        this.skip();
      }
    });

    interface Trace {
      readonly output: string[];
      /** Per acknowledgement: whether the journal was synced after its last write and before the words. */
      readonly synced: boolean[];
    }

    const traced = (path: string, orders: number, inject: readonly string[] = []): Trace => {
      const file = dir.file('trace');
      const child = spawnSync(
        'strace',
        ['-f', '-e', 'trace=openat,close,pwrite64,fsync,fdatasync,write', ...inject, '-o', file]
          .concat(process.execPath)
          .concat([APPEND_LOOP, path, String(orders)]),
        { encoding: 'utf8' },
      );
      const synced: boolean[] = [];
      let journal = '';
      let written = false;
      let syncedSince = false;
      for (const line of readFileSync(file, 'utf8').split('\n')) {
        const opened = /openat\(.*"([^"]*)".*\) = (\d+)/.exec(line);
        if (opened?.[1] === `${path}-wal`) journal = opened[2] ?? '';
        if (line.includes(`pwrite64(${journal},`)) {
          written = true;
          syncedSince = false;
        }
        if (new RegExp(`(fsync|fdatasync)\\(${journal}\\)\\s+= 0$`).test(line)) syncedSince = true;
        if (/write\(1, "acked /.test(line)) {
          synced.push(written && syncedSince);
          written = false;
          syncedSince = false;
        }
      }
      return { output: child.stdout.trim().split('\n'), synced };
    };

    it('an fsync of the journal lies between each append and its acknowledgement, on a fresh and a reopened file', () => {
      const path = dir.file('a.sqlite');
      for (const run of ['fresh', 'reopened']) {
        const { synced } = traced(path, 60);
        expect(synced, run).to.have.length(60);
        expect(
          synced.filter(each => !each),
          run,
        ).to.deep.equal([]);
      }
    });

    it('a failed fsync fails its append, and the file goes on only after it was written out and checked', () => {
      const path = dir.file('a.sqlite');
      openLedger({ path, mode: 'paper' }).close();
      // The calls before the loop are fewer than these; each fails one commit of the loop.
      const { output } = traced(path, 30, ['-e', 'inject=fsync,fdatasync:error=EIO:when=12+9']);
      const failed = output.filter(line => line.startsWith('failed '));
      expect(failed).to.not.have.length(0);
      expect(output.filter(line => line === 'recovered')).to.have.length(failed.length);
      expect(failed[0]).to.contain('disk I/O error');
      const acked = output.filter(line => line.startsWith('acked ')).map(line => `r2-${line.slice(6)}`);
      expect(acked.length + failed.length).to.equal(30);
      expect(idsIn(path)).to.include.members(acked);
    });
  });

  describe('when the disk', () => {
    /** A ledger whose every connection is handed to the test. */
    const faulty = (): { ledger: Ledger; db(): SqliteDatabase.Database } => {
      let current: SqliteDatabase.Database | undefined;
      const ledger = openLedger({
        path: dir.file('a.sqlite'),
        mode: 'paper',
        connect: path => {
          current = new SqliteDatabase(path, { timeout: 20 });
          return current;
        },
      });
      return {
        ledger,
        db: () => {
          if (current === undefined) throw new Error('no connection yet');
          return current;
        },
      };
    };

    it('is full, the group fails whole, nothing more is taken, and room heals it', () => {
      const { ledger, db } = faulty();
      ledger.append([intended('c1')]);
      db().pragma(`max_page_count = ${db().pragma('page_count', { simple: true })}`);
      const many = Array.from({ length: 500 }, (_, n) => filled(`t${n}`));
      expect(() => ledger.appendGroup([[intended('c2')], many])).to.throw('full');
      expect(() => ledger.append([intended('c3')])).to.throw(LedgerBroken);
      expect(() => ledger.nextEpoch()).to.throw(LedgerBroken);
      // A new connection has the file system's own limit again.
      ledger.recover();
      ledger.append([intended('c4')]);
      expect(ledger.snapshot().openOrders.map(each => each.clientOrderId)).to.deep.equal(['c1', 'c4']);
      expect(ledger.snapshot().fills).to.deep.equal([]);
      ledger.close();
    });

    it('turns read-only, appends fail and the books stay readable', () => {
      const { ledger, db } = faulty();
      ledger.append([intended('c1')]);
      db().pragma('query_only = ON');
      expect(() => ledger.append([intended('c2')])).to.throw('readonly');
      expect(ledger.snapshot().openOrders).to.have.length(1);
      ledger.recover();
      ledger.append([intended('c2')]);
      ledger.close();
      expect(idsIn(dir.file('a.sqlite'))).to.deep.equal(['c1', 'c2']);
    });

    it('holds far more than memory should, each connection keeps a few megabytes of it', () => {
      const { ledger, db } = faulty();
      const keptMb = (): number => {
        const size = db().pragma('cache_size', { simple: true }) as number;
        return size < 0 ? -size / 1_024 : (size * 4_096) / 1_048_576;
      };
      expect(keptMb()).to.be.within(1, 4);
      ledger.recover();
      expect(keptMb()).to.be.within(1, 4);
      ledger.close();
    });

    it('has a reader that keeps the journal in use, a broken ledger waits for it', () => {
      const { ledger, db } = faulty();
      ledger.append([intended('c1')]);
      const reader = new SqliteDatabase(dir.file('a.sqlite'), { readonly: true });
      reader.exec('BEGIN');
      reader.prepare('SELECT count(*) FROM orders').get();
      ledger.append([intended('c2')]);
      db().pragma('query_only = ON');
      expect(() => ledger.append([intended('c3')])).to.throw();
      expect(() => ledger.recover()).to.throw(LedgerBroken, 'reader');
      expect(() => ledger.append([intended('c3')])).to.throw(LedgerBroken);
      reader.close();
      ledger.recover();
      ledger.append([intended('c3')]);
      ledger.close();
      expect(idsIn(dir.file('a.sqlite'))).to.deep.equal(['c1', 'c2', 'c3']);
    });

    it('is locked by somebody else, the append says so and the ledger stays sound', () => {
      const { ledger } = faulty();
      const shell = new SqliteDatabase(dir.file('a.sqlite'));
      shell.exec('BEGIN IMMEDIATE');
      expect(() => ledger.append([intended('c1')])).to.throw('locked');
      shell.exec('ROLLBACK');
      shell.close();
      ledger.append([intended('c1')]);
      ledger.close();
    });

    it('gets another file in the place of the ledger, recovery refuses it', () => {
      const { ledger, db } = faulty();
      ledger.append([intended('c1')]);
      db().pragma('query_only = ON');
      expect(() => ledger.append([intended('c2')])).to.throw();
      spawnSync('sh', ['-c', 'rm "$1" "$1-wal" "$1-shm"', 'sh', dir.file('a.sqlite')]);
      expect(() => ledger.recover()).to.throw('not the file that was opened');
      ledger.close();
    });
  });
});
