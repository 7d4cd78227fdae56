/**
 * Appends orders for as long as it lives and says so after each commit: `open <run>`, then `acked <n>` per order, or
 * `failed <n> <words>`, `recovered`. Arguments: file, how many orders (0 for ever), checkpoint every so many (0 never).
 */
import { writeSync } from 'node:fs';
import { openLedger } from '#src/ledger/store.js';
import { intended } from '../fixtures.js';

const [path = '', count = '0', checkpointEvery = '0'] = process.argv.slice(2);
const say = (words: string): void => void writeSync(1, `${words}\n`);

const ledger = openLedger({ path, mode: 'paper' });
say(`open ${ledger.run}`);
for (let n = 1; count === '0' || n <= Number(count); n++) {
  try {
    ledger.append([intended(`r${ledger.run}-${n}`)]);
    say(`acked ${n}`);
  } catch (error) {
    say(`failed ${n} ${error instanceof Error ? error.message : error}`);
    ledger.recover();
    say('recovered');
  }
  if (checkpointEvery !== '0' && n % Number(checkpointEvery) === 0) ledger.checkpoint('truncate');
}
ledger.close();
say('closed');
