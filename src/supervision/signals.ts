/**
 * Operator signals, caught from the first instant: loading this module installs the handlers, so the entry imports it
 * before anything else. Until somebody takes them, signals wait here.
 */
import { withoutEchoes } from '../runtime/signal-echoes.js';

/** What the process listens to. SIGHUP and SIGUSR1 never harm: they are caught and only noted. */
const CAUGHT = ['SIGTERM', 'SIGINT', 'SIGUSR2', 'SIGHUP', 'SIGUSR1'] as const;
export type CaughtSignal = (typeof CAUGHT)[number];

const waiting: CaughtSignal[] = [];
let listener: ((signal: CaughtSignal) => void) | null = null;

const onSignal = withoutEchoes<CaughtSignal>(signal => {
  if (listener === null) waiting.push(signal);
  else listener(signal);
});

for (const signal of CAUGHT) process.on(signal, () => onSignal(signal));

/** Hands every signal, those waiting first, to `take`. */
export const takeSignals = (take: (signal: CaughtSignal) => void): void => {
  listener = take;
  for (const signal of waiting.splice(0)) take(signal);
};
