/**
 * Operator signals, caught from the first instant: loading this module installs the handlers, so the entry imports it
 * before anything else. Until somebody takes them, signals wait here.
 */
import { monoMs } from '../runtime/clock.js';

/** What the process listens to. SIGHUP and SIGUSR1 never harm: they are caught and only noted. */
const CAUGHT = ['SIGTERM', 'SIGINT', 'SIGUSR2', 'SIGHUP', 'SIGUSR1'] as const;
export type CaughtSignal = (typeof CAUGHT)[number];

/**
 * One order to stop may reach us twice: Ctrl-C and process managers signal a whole group, and whoever handed over to
 * the pinned Node, or npm, forwards its own copy within milliseconds. Copies of one signal closer than this are one.
 */
const ECHO_MS = 100;

const waiting: CaughtSignal[] = [];
const lastAt = new Map<CaughtSignal, number>();
let listener: ((signal: CaughtSignal) => void) | null = null;

const onSignal = (signal: CaughtSignal): void => {
  const at = monoMs();
  const before = lastAt.get(signal);
  lastAt.set(signal, at);
  if (before !== undefined && at - before < ECHO_MS) return;
  if (listener === null) waiting.push(signal);
  else listener(signal);
};

for (const signal of CAUGHT) process.on(signal, () => onSignal(signal));

/** Hands every signal, those waiting first, to `take`. */
export const takeSignals = (take: (signal: CaughtSignal) => void): void => {
  listener = take;
  for (const signal of waiting.splice(0)) take(signal);
};
