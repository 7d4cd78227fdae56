/**
 * The shape shared by every brain: a step function that reads no clock, no randomness and no environment.
 *
 * The state handed to a step is owned by that step: it may be updated in place and must not be used again by the
 * caller, who continues with the returned one.
 */

/**
 * The time of one step.
 * `monoMs` counts milliseconds on the process-wide monotonic clock: use it for ages, deadlines and leases.
 * `wallMs` is Unix time in milliseconds, UTC: use it only for records and for what the venue is told.
 */
export interface Now {
  readonly monoMs: number;
  readonly wallMs: number;
}

/** What a step returns: the next state and what the shell has to do, in order. */
export interface Stepped<State, Effect> {
  readonly state: State;
  readonly effects: Effect[];
}

/** A brain: the next state and the effects follow from state, input and time alone. */
export type Step<State, Input, Effect> = (state: State, input: Input, now: Now) => Stepped<State, Effect>;

/** The actors of the process, in start order (the supervisor is the main thread). */
export const ACTOR_NAMES = [
  'supervisor',
  'paper-exchange',
  'ledger',
  'telemetry',
  'market-data',
  'reconciliation',
  'execution',
  'strategy',
  'twin',
] as const;
export type ActorName = (typeof ACTOR_NAMES)[number];

/** Identifies one message or decision: `<actor>:<incarnation>:<sequence>`, unique within one process run. */
export type EventId = string;

/** Every message and decision names itself and what caused it, so that an order leads back to a market event. */
export interface Traced {
  readonly id: EventId;
  readonly cause: EventId;
}

/** Hands out event ids for one incarnation of one actor. */
export interface EventIds {
  readonly prefix: string;
  next: number;
}

export const eventIds = (actor: ActorName, incarnation: number): EventIds => ({
  prefix: `${actor}:${incarnation}:`,
  next: 1,
});

/** The next id of a sequence; advances it. */
export const nextEventId = (ids: EventIds): EventId => `${ids.prefix}${ids.next++}`;

/** Severity of a log line, as the log's reader filters it. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** One line for the log: a stable kebab-case event name, and facts. Bigints are written as decimal text. */
export interface LogEffect {
  readonly type: 'log';
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One observation for the metrics actor; `kind` says how it is folded. Labels must come from closed sets. */
export interface MetricEffect {
  readonly type: 'metric';
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly name: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}
