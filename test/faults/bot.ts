/**
 * The real bot as an entry of its own, with two differences: its venue is an exchange outside of it that outlives it
 * (FAULTS_VENUE), and it may kill itself at a named moment (FAULTS_CRASH_AT).
 */
import '#src/supervision/signals.js';
import { main } from '#src/supervision/main.js';

main({
  args: process.argv.slice(2),
  env: process.env,
  end: code => process.exit(code),
  entryOf: () => new URL('./worker.js', import.meta.url),
});
