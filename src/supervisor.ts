/** Entry of the bot: signals first, then the runtime, then everything else. */
import './supervision/signals.js';
import { ensureRuntime } from './runtime/node-version.js';

if (await ensureRuntime(import.meta.url)) {
  const { main } = await import('./supervision/main.js');
  await main(process.argv.slice(2));
}
