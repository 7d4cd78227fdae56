#!/usr/bin/env node
/** Entry of `btcbot <verb>`. Nothing but the runtime check is loaded before the Node version is known to be right. */
import process from 'node:process';
import { ensureRuntime } from './runtime/node-version.js';

const main = async (): Promise<void> => {
  const { runCli } = await import('./cli/main.js');
  const { withoutEchoes } = await import('./runtime/signal-echoes.js');
  const stop = new AbortController();
  // A reader that has seen enough (`| head`), or a terminal that was closed, is no error: the verb comes to its end, with
  // its own exit code.
  const readerGone = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  };
  process.stderr.on('error', readerGone);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    readerGone(error);
    stop.abort();
  });
  let listening = false;
  let asked = false;
  /** The first one asks the verb to come to its end; the next one means it. */
  const onSignal = withoutEchoes<NodeJS.Signals>(signal => {
    if (asked) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    }
    asked = true;
    stop.abort();
  });
  process.exitCode = await runCli(process.argv.slice(2), {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    terminal: process.stdout.isTTY === true,
    env: process.env,
    // A verb that never looks has nothing to bring to an end: a signal ends it at once, also while it only computes.
    get signal() {
      if (!listening)
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
          process.on(signal, () => onSignal(signal));
      listening = true;
      return stop.signal;
    },
  });
};

if (await ensureRuntime(import.meta.url, process.env, code => process.exit(code))) await main();
