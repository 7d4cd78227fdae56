#!/usr/bin/env node
/** Entry of `btcbot <verb>`. Nothing but the runtime check is loaded before the Node version is known to be right. */
import process from 'node:process';
import { ensureRuntime } from './runtime/node-version.js';

const main = async (): Promise<void> => {
  const { runCli } = await import('./cli/main.js');
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  process.exitCode = await runCli(process.argv.slice(2), {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    terminal: process.stdout.isTTY === true,
    env: process.env,
    signal: stop.signal,
  });
};

if (await ensureRuntime(import.meta.url, process.env, code => process.exit(code))) await main();
