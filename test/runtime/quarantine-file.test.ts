import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { QuarantinedInput } from '#src/domain/supervisor.js';
import { quarantinePath, readQuarantine, writeQuarantine } from '#src/runtime/quarantine-file.js';

const INPUTS: readonly QuarantinedInput[] = [
  { actor: 'ledger', input: 'execution:00112233aabbccdd' },
  { actor: 'market-data', input: 'public-frame:0011223300112233' },
];

describe('the quarantine file', () => {
  let folder = '';
  const path = (): string => quarantinePath(join(folder, 'bot.sqlite'));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-quarantine-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('gives back what the same build has left out, and is for its owner alone', () => {
    writeQuarantine(path(), '1.0.0+a', INPUTS);
    expect(readQuarantine(path(), '1.0.0+a')).to.deep.equal(INPUTS);
    expect(statSync(path()).mode & 0o777).to.equal(0o600);
  });

  it('says nothing to another build, which may be able to handle them', () => {
    writeQuarantine(path(), '1.0.0+a', INPUTS);
    expect(readQuarantine(path(), '1.0.0+b')).to.deep.equal([]);
  });

  it('is gone when nothing is left out', () => {
    writeQuarantine(path(), '1.0.0+a', INPUTS);
    writeQuarantine(path(), '1.0.0+a', []);
    expect(existsSync(path())).to.equal(false);
    expect(readQuarantine(path(), '1.0.0+a')).to.deep.equal([]);
  });

  for (const text of ['', 'x', '[]', '{}', '{"build":"1.0.0+a"}', '{"build":"1.0.0+a","inputs":{}}'])
    it(`says nothing when it is ${text === '' ? 'empty' : text}`, () => {
      writeFileSync(path(), text);
      expect(readQuarantine(path(), '1.0.0+a')).to.deep.equal([]);
    });

  it('passes over what names no worker or no input', () => {
    const inputs = [null, 5, {}, { actor: 'nobody', input: 'x' }, { actor: 'ledger', input: 1 }, INPUTS[0]];
    writeFileSync(path(), JSON.stringify({ build: '1.0.0+a', inputs }));
    expect(readQuarantine(path(), '1.0.0+a')).to.deep.equal([INPUTS[0]]);
  });
});
