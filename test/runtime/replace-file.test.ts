import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
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

  it('leaves nothing behind when it cannot take its place: a full disk needs the room', () => {
    const path = join(folder, 'taken');
    mkdirSync(path);
    expect(() => replaceFile(path, 'text')).to.throw();
    expect(readdirSync(folder).filter(name => name.endsWith('.new'))).to.deep.equal([]);
  });
});
