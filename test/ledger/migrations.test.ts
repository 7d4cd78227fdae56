import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import { MIGRATIONS, type Migration } from '#src/ledger/migrations.js';
import { APPLICATION_ID, SCHEMA_V1, SCHEMA_VERSION } from '#src/ledger/schema.js';
import { openLedger } from '#src/ledger/store.js';
import { intended, scratch } from './fixtures.js';

const ADDS_SOURCE: Migration = {
  version: SCHEMA_VERSION + 1,
  about: 'marks know their source',
  up: db => void db.exec("ALTER TABLE marks ADD COLUMN source TEXT NOT NULL DEFAULT ''"),
};

const FAILS: Migration = {
  version: SCHEMA_VERSION + 2,
  about: 'a step that cannot be',
  up: db => void db.exec('CREATE TABLE half (id INTEGER); CREATE TABLE marks (again INTEGER)'),
};

const read = (
  path: string,
): { version: number; metaVersion: unknown; markColumns: string[]; orders: unknown } => {
  const db = new SqliteDatabase(path, { readonly: true });
  try {
    return {
      version: db.pragma('user_version', { simple: true }) as number,
      metaVersion: db.prepare("SELECT value FROM meta WHERE key = 'schema_version'").pluck().get(),
      markColumns: (db.pragma('table_info(marks)') as { name: string }[]).map(row => row.name),
      orders: db.prepare('SELECT count(*) FROM orders').pluck().get(),
    };
  } finally {
    db.close();
  }
};

/** What this program writes, and the version after it. */
const NOW = {
  version: SCHEMA_VERSION,
  metaVersion: String(SCHEMA_VERSION),
  markColumns: ['symbol', 'price', 'at_ms'],
  orders: 1,
};
const NEXT = {
  version: SCHEMA_VERSION + 1,
  metaVersion: String(SCHEMA_VERSION + 1),
  markColumns: ['symbol', 'price', 'at_ms', 'source'],
  orders: 1,
};
const BACKUP = `a.sqlite.v${SCHEMA_VERSION}.bak`;

describe('ledger migrations', () => {
  const dir = scratch();
  const open = (migrations: readonly Migration[]) =>
    openLedger({ path: dir.file('a.sqlite'), mode: 'paper', migrations });
  const writtenNow = (): void => {
    const ledger = open(MIGRATIONS);
    ledger.append([intended('c1')]);
    ledger.close();
  };

  it('count from one without gaps to the version this program writes', () => {
    expect(MIGRATIONS.map(each => each.version)).to.deep.equal(MIGRATIONS.map((_, index) => index + 1));
    expect(MIGRATIONS.at(-1)?.version).to.equal(SCHEMA_VERSION);
  });

  it('make a new file without a backup', () => {
    const ledger = open([...MIGRATIONS, ADDS_SOURCE]);
    expect(ledger.migrationBackup).to.equal(null);
    expect(ledger.schemaVersion).to.equal(SCHEMA_VERSION + 1);
    ledger.close();
  });

  it('bring an older file forward, with a copy of it taken first', () => {
    writtenNow();
    const ledger = open([...MIGRATIONS, ADDS_SOURCE]);
    expect(ledger.migrationBackup).to.equal(dir.file(BACKUP));
    expect(ledger.snapshot().openOrders).to.have.length(1);
    ledger.close();
    expect(read(dir.file('a.sqlite'))).to.deep.equal(NEXT);
    expect(read(dir.file(BACKUP))).to.deep.equal(NOW);
  });

  it('bring a file of the first version forward: its orders have no reason', () => {
    const db = new SqliteDatabase(dir.file('a.sqlite'));
    db.exec(SCHEMA_V1);
    db.exec(`
      INSERT INTO meta (key, value) VALUES ('schema_version', '1'), ('mode', 'paper'), ('instance', 'abc');
      INSERT INTO orders VALUES (1, 'c1', 'i1', 'maker', 'BTCTRY', 'buy', 'limit', '1', '2', NULL, NULL, 'h', 'x', 1, 5);
      INSERT INTO order_states VALUES (1, 0, 'working', '7', '0', NULL, NULL, 5, NULL, '0', '0');
      PRAGMA application_id = ${APPLICATION_ID};
      PRAGMA user_version = 1;`);
    db.close();
    const ledger = open(MIGRATIONS);
    const [order] = ledger.snapshot().openOrders;
    expect(order).to.include({ clientOrderId: 'c1', strategy: 'maker' });
    expect(order).not.to.have.property('tag');
    ledger.close();
  });

  it('leave the version before a step that fails', () => {
    writtenNow();
    expect(() => open([...MIGRATIONS, ADDS_SOURCE, FAILS])).to.throw('marks');
    expect(read(dir.file('a.sqlite'))).to.deep.equal(NEXT);
    const ledger = open([...MIGRATIONS, ADDS_SOURCE]);
    expect(ledger.snapshot().openOrders).to.have.length(1);
    ledger.close();
  });

  it('killed in the middle lose nothing and are repeated whole', () => {
    writtenNow();
    const child = spawnSync(
      process.execPath,
      [fileURLToPath(new URL('children/migrate-and-die.js', import.meta.url)), dir.file('a.sqlite')],
      { encoding: 'utf8' },
    );
    expect(child.signal).to.equal('SIGKILL');
    expect(existsSync(dir.file(BACKUP))).to.equal(true);

    const before = open(MIGRATIONS);
    expect(before.snapshot().openOrders).to.have.length(1);
    before.close();
    expect(read(dir.file('a.sqlite'))).to.deep.equal(NOW);
    open([...MIGRATIONS, ADDS_SOURCE]).close();
    expect(read(dir.file('a.sqlite'))).to.deep.equal(NEXT);
  });
});
