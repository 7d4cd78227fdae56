/**
 * One order to stop may reach us twice: Ctrl-C and process managers signal a whole group, and whoever handed over to
 * the pinned Node, or npm, forwards its own copy within milliseconds.
 */
import { monoMs } from './clock.js';

/** Copies of one signal closer than this are one. */
const ECHO_MS = 100;

/** `take`, without the copies. */
export const withoutEchoes = <Signal extends string>(
  take: (signal: Signal) => void,
): ((signal: Signal) => void) => {
  const lastAt = new Map<Signal, number>();
  return signal => {
    const at = monoMs();
    const before = lastAt.get(signal);
    lastAt.set(signal, at);
    if (before === undefined || at - before >= ECHO_MS) take(signal);
  };
};
