#!/usr/bin/env node
/** Entry of `btcbot <verb>`. Nothing but the runtime check is loaded before the Node version is known to be right. */
import { constants } from 'node:os';
import process from 'node:process';
import { ensureRuntime } from './runtime/node-version.js';

const main = async (): Promise<void> => {
  const { runCli } = await import('./cli/main.js');
  const { withoutEchoes } = await import('./runtime/signal-echoes.js');
  const stop = new AbortController();
  let unwritten = false;
  process.stderr.on('error', () => {});
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    stop.abort();
    // A reader that has seen enough (`| head`), or a terminal that was closed, is no error: the verb comes to its end, with
    // its own exit code. A full disk is one, whether it is told before or after that end.
    if (error.code === 'EPIPE' || error.code === 'EIO' || unwritten) return;
    unwritten = true;
    process.exitCode ||= 1;
    process.stderr.write(`btcbot: what it prints cannot be written: ${error.message}\n`);
  });
  let listening = false;
  let asked = false;
  /** The first one asks the verb to come to its end; the next one means it. */
  const onSignal = withoutEchoes<NodeJS.Signals>(signal => {
    // Not by the signal itself, which the first process of a container does not take from anybody.
    if (asked) process.exit(128 + constants.signals[signal]);
    asked = true;
    stop.abort();
  });
  const code = await runCli(process.argv.slice(2), {
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
  process.exitCode = code === 0 && unwritten ? 1 : code;
};

if (await ensureRuntime(import.meta.url, process.env, code => process.exit(code))) await main();
