import fs, { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { replaceFile } from '#src/runtime/replace-file.js';

describe('a file that is replaced', () => {
  const folder = mkdtempSync(join(tmpdir(), 'btcbot-replace-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is there whole, for its owner alone', () => {
    const path = join(folder, 'whole');
    replaceFile(path, 'one');
    replaceFile(path, 'two');
    expect(readFileSync(path, 'utf8')).to.equal('two');
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });

  it('is on disk under its name before the writer goes on, unless nobody may wait for a disk', () => {
    const path = join(folder, 'synced');
    const { fsyncSync, renameSync } = fs;
    const deeds: string[] = [];
    fs.fsyncSync = handle => {
      deeds.push(fs.fstatSync(handle).isDirectory() ? 'sync folder' : 'sync file');
      fsyncSync(handle);
    };
    fs.renameSync = (from, to) => {
      deeds.push('rename');
      renameSync(from, to);
    };
    syncBuiltinESMExports();
    try {
      replaceFile(path, 'text');
      expect(deeds).to.deep.equal(['sync file', 'rename', 'sync folder']);
      deeds.length = 0;
      replaceFile(path, 'text', { synced: false });
      expect(deeds).to.deep.equal(['rename']);
    } finally {
      Object.assign(fs, { fsyncSync, renameSync });
      syncBuiltinESMExports();
    }
  });

  it('leaves nothing behind when it cannot take its place: a full disk needs the room', () => {
    const path = join(folder, 'taken');
    mkdirSync(path);
    expect(() => replaceFile(path, 'text')).to.throw();
    expect(readdirSync(folder).filter(name => name.endsWith('.new'))).to.deep.equal([]);
  });
});
