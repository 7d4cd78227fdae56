/** Entry of the bot: signals first, then the runtime, then everything else. */
import './supervision/signals.js';
import { ensureRuntime } from './runtime/node-version.js';

const end = (code: number): never => process.exit(code);

if (await ensureRuntime(import.meta.url, process.env, end)) {
  const { keepCompiledCode } = await import('./runtime/compile-cache.js');
  keepCompiledCode(process.env);
  const { main } = await import('./supervision/main.js');
  main({ args: process.argv.slice(2), env: process.env, end });
}
