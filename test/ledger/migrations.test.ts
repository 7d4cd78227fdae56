import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { expect } from 'chai';
import { MIGRATIONS, type Migration } from '#src/ledger/migrations.js';
import { SCHEMA_VERSION } from '#src/ledger/schema.js';
import { openLedger } from '#src/ledger/store.js';
import { intended, scratch } from './fixtures.js';

const ADDS_SOURCE: Migration = {
  version: 2,
  about: 'marks know their source',
  up: db => void db.exec("ALTER TABLE marks ADD COLUMN source TEXT NOT NULL DEFAULT ''"),
};

const FAILS: Migration = {
  version: 3,
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

const V1 = { version: 1, metaVersion: '1', markColumns: ['symbol', 'price', 'at_ms'], orders: 1 };
const V2 = { version: 2, metaVersion: '2', markColumns: ['symbol', 'price', 'at_ms', 'source'], orders: 1 };

describe('ledger migrations', () => {
  const dir = scratch();
  const open = (migrations: readonly Migration[]) =>
    openLedger({ path: dir.file('a.sqlite'), mode: 'paper', migrations });
  const atVersionOne = (): void => {
    const ledger = open(MIGRATIONS.slice(0, 1));
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
    expect(ledger.schemaVersion).to.equal(2);
    ledger.close();
  });

  it('bring an older file forward, with a copy of it taken first', () => {
    atVersionOne();
    const ledger = open([...MIGRATIONS, ADDS_SOURCE]);
    expect(ledger.migrationBackup).to.equal(dir.file('a.sqlite.v1.bak'));
    expect(ledger.snapshot().openOrders).to.have.length(1);
    ledger.close();
    expect(read(dir.file('a.sqlite'))).to.deep.equal(V2);
    expect(read(dir.file('a.sqlite.v1.bak'))).to.deep.equal(V1);
  });

  it('leave the version before a step that fails', () => {
    atVersionOne();
    expect(() => open([...MIGRATIONS, ADDS_SOURCE, FAILS])).to.throw('marks');
    expect(read(dir.file('a.sqlite'))).to.deep.equal(V2);
    const ledger = open([...MIGRATIONS, ADDS_SOURCE]);
    expect(ledger.snapshot().openOrders).to.have.length(1);
    ledger.close();
  });

  it('killed in the middle lose nothing and are repeated whole', () => {
    atVersionOne();
    const child = spawnSync(
      process.execPath,
      [fileURLToPath(new URL('children/migrate-and-die.js', import.meta.url)), dir.file('a.sqlite')],
      { encoding: 'utf8' },
    );
    expect(child.signal).to.equal('SIGKILL');
    expect(existsSync(dir.file('a.sqlite.v1.bak'))).to.equal(true);

    const before = open(MIGRATIONS.slice(0, 1));
    expect(before.snapshot().openOrders).to.have.length(1);
    before.close();
    expect(read(dir.file('a.sqlite'))).to.deep.equal(V1);
    open([...MIGRATIONS, ADDS_SOURCE]).close();
    expect(read(dir.file('a.sqlite'))).to.deep.equal(V2);
  });
});
