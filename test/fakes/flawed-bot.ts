/**
 * The real bot, with workers that can be made to fail from outside. Its main thread, too: a file `fault-supervisor`
 * that holds a number makes it stand still for so many milliseconds, and `stood-still` says from when to when.
 */
import '#src/supervision/signals.js';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { main } from '#src/supervision/main.js';

setInterval(() => {
  if (!existsSync('fault-supervisor')) return;
  const ms = Number(readFileSync('fault-supervisor', 'utf8'));
  rmSync('fault-supervisor');
  const fromMs = Date.now();
  while (Date.now() < fromMs + ms);
  writeFileSync('stood-still', JSON.stringify({ fromMs, toMs: Date.now() }));
}, 10).unref();

main({
  args: process.argv.slice(2),
  env: process.env,
  end: code => process.exit(code),
  entryOf: () => new URL('./workers/crashable.js', import.meta.url),
});
