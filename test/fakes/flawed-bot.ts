/** The real bot, with workers that can be made to fail from outside. */
import '#src/supervision/signals.js';
import { main } from '#src/supervision/main.js';

main({
  args: process.argv.slice(2),
  env: process.env,
  end: code => process.exit(code),
  entryOf: () => new URL('./workers/crashable.js', import.meta.url),
});
