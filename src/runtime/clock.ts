import type { Now } from '../domain/step.js';

/**
 * The one place that reads clocks. `process.hrtime` has the same origin in every thread of the process
 * (`performance.now()` does not), so monotonic times may be compared across workers.
 */
export const now = (): Now => ({ monoMs: monoMs(), wallMs: Date.now() });

/** Milliseconds on the process-wide monotonic clock. */
export const monoMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

/** Unix time in milliseconds, UTC. */
export const wallMs = (): number => Date.now();
