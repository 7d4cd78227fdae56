import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { listingForMarket } from '#src/exchange/instruments.js';
import { RecordingError } from '#src/exchange/recording.js';
import { createTapeBuilder, type MarketTape } from '#src/research/tape.js';
import { isTapeFile, readTape, readTapeFile, writeTapeFile } from '#src/research/tape-file.js';
import { recordingLines } from '../support/generated-recording.js';

const LISTING = (() => {
  const found = listingForMarket('BTCUSDT', [parseDecimal('0.01')], [parseDecimal('0.00000001')]);
  if (found === undefined) throw new Error('no listing');
  return found;
})();

const LINES = recordingLines({ seed: 5, seconds: 3, symbol: 'BTCUSDT', midCents: 6_000_000 });

/** A book and a trade of so much. */
const tapeOf = (amount: string): MarketTape => {
  const builder = createTapeBuilder([LISTING]);
  const level = (P: string) => [{ P, A: '1' }];
  builder.frame([431, { CS: 1, BO: level('10'), AO: level('11'), channel: 'obdiff', event: 'BTCUSDT' }], 1);
  builder.frame([422, { D: '2', I: '77', A: amount, P: '11', S: 0, channel: 'trade', event: 'BTCUSDT' }], 2);
  return builder.finish();
};

describe('the binary form of a tape', () => {
  const folder = mkdtempSync(join(tmpdir(), 'btcbot-tape-'));
  const path = join(folder, 'market.tape');
  after(() => rmSync(folder, { recursive: true }));

  for (const [what, amount, bytes] of [
    ['32 bits wide where all numbers fit', '21.47483647', 4],
    ['64 bits wide where one does not', '21.47483648', 8],
  ] as const)
    it(`is ${what}, and the same when it is read`, () => {
      const tape = tapeOf(amount);
      expect(tape.numbers.BYTES_PER_ELEMENT).to.equal(bytes);
      expect([...tape.numbers]).to.deep.equal([
        1_000,
        1e8,
        1_100,
        1e8,
        1_100,
        Math.round(Number(amount) * 1e8),
      ]);
      expect([...tape.tradeIds]).to.deep.equal([Number.NaN, 77]);
      writeTapeFile(path, tape);
      expect(readTapeFile(path)).to.deep.equal(tape);
    });

  it('of another version is known for one, and refused with what to do', () => {
    writeTapeFile(path, tapeOf('1'));
    const older = readFileSync(path);
    older.write('BBTAPE01', 0, 'latin1');
    writeFileSync(path, older);
    expect(isTapeFile(path)).to.equal(true);
    expect(() => readTapeFile(path)).to.throw(RecordingError, 'make it again from its recording');
  });

  it('is made of a recording whose parts begin with byte order marks', async () => {
    const parts = join(folder, 'parts');
    mkdirSync(parts);
    const files = ['1.jsonl', '2.jsonl'].map(file => ({ file }));
    const manifest = {
      format: 'btcbot-recording',
      symbols: [],
      parts: files,
      exchangeinfo: { data: { symbols: [] } },
    };
    writeFileSync(join(parts, 'manifest.json'), JSON.stringify(manifest));
    const [head, ...rest] = LINES;
    writeFileSync(join(parts, '1.jsonl'), `\ufeff${head}\n`);
    writeFileSync(join(parts, '2.jsonl'), `\ufeff${rest.join('\n')}\n`);
    const whole = join(folder, 'whole.jsonl');
    writeFileSync(whole, `${LINES.join('\n')}\n`);
    expect(await readTape(parts)).to.deep.equal(await readTape(whole));
  });

  it('is not made of a recording that was cut off, which is told by its line', async () => {
    const cut = join(folder, 'cut.jsonl.gz');
    writeFileSync(cut, gzipSync(`${LINES.join('\n')}\n`.repeat(40)).subarray(0, -200));
    const error = await readTape(cut).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(RecordingError);
    expect((error as Error).message).to.match(/is cut off or damaged after line \d+: /);
  });

  it('that is cut short is refused', () => {
    writeTapeFile(path, tapeOf('1'));
    writeFileSync(path, readFileSync(path).subarray(0, -8));
    expect(() => readTapeFile(path)).to.throw(RecordingError, 'it is cut short');
  });
});
