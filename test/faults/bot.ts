/**
 * The real bot as an entry of its own, with these differences: its venue is an exchange outside of it that outlives it
 * (FAULTS_VENUE), it may kill itself at a named moment (FAULTS_CRASH_AT), and whoever started it with a channel may make
 * any of its threads fail (seam.ts).
 */
import '#src/supervision/signals.js';
import { keepCompiledCode } from '#src/runtime/compile-cache.js';
import { openSeam } from './seam.js';

openSeam();
// As the entry itself does: a worker that starts again is back sooner.
keepCompiledCode(process.env);
const { main } = await import('#src/supervision/main.js');
main({
  args: process.argv.slice(2),
  env: process.env,
  end: code => process.exit(code),
  entryOf: () => new URL('./worker.js', import.meta.url),
});
