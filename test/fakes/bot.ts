/** The real supervisor over fake workers, as an entry of its own: only telemetry is the real one. */
import '#src/supervision/signals.js';
import { main } from '#src/supervision/main.js';

main({
  args: process.argv.slice(2),
  env: process.env,
  end: code => process.exit(code),
  entryOf: actor =>
    actor === 'telemetry'
      ? new URL('../../workers/telemetry.js', import.meta.url)
      : new URL('./workers/actor.js', import.meta.url),
});
