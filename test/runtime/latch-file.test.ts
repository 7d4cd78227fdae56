import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Hold } from '#src/domain/safety.js';
import { latchPath, readLatch, writeLatch } from '#src/runtime/latch-file.js';

const HOLDS: readonly Hold[] = [
  { key: 'operator', cause: 'operator', subject: '', detail: 'SIGUSR2', placedAtMs: 5 },
  {
    key: 'restart-storm:strategy',
    cause: 'restart-storm',
    subject: 'strategy',
    detail: 'five',
    placedAtMs: 6,
  },
];

describe('the latch file', () => {
  let folder = '';
  const path = (): string => latchPath(join(folder, 'bot.sqlite'));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-latch-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('gives back what was written, and is for its owner alone', () => {
    writeLatch(path(), HOLDS);
    expect(readLatch(path())).to.deep.equal(HOLDS);
    expect(statSync(path()).mode & 0o777).to.equal(0o600);
  });

  it('is gone when nothing is latched', () => {
    expect(readLatch(path())).to.deep.equal([]);
    writeLatch(path(), HOLDS);
    writeLatch(path(), []);
    expect(existsSync(path())).to.equal(false);
  });

  for (const text of ['', 'x', '{}', '[]', '[{}]', '[{"cause":"nonsense","subject":""}]', '[null]'])
    it(`is a latch itself when it holds ${JSON.stringify(text)}`, () => {
      writeFileSync(path(), text);
      const [hold, ...more] = readLatch(path());
      expect(hold?.cause).to.equal('operator');
      expect(more).to.deep.equal([]);
    });

  it('is a latch itself when it cannot be read', () => {
    mkdirSync(path());
    expect(readLatch(path())[0]?.detail).to.contain('cannot be read');
  });

  it('takes its key from cause and subject, not from what the file says', () => {
    writeFileSync(path(), JSON.stringify([{ ...HOLDS[1], key: 'something-else' }]));
    expect(readLatch(path())).to.deep.equal([HOLDS[1]]);
  });
});
