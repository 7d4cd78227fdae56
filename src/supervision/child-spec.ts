/** The workers as data, in start order; they stop in reverse. */
import type { ResourceLimits } from 'node:worker_threads';
import type { ActorName } from '../domain/step.js';
import type { ChildRule } from '../domain/supervisor.js';
import { ATTEMPT_LOG_BYTES } from '../runtime/attempt-log.js';
import { START_WORKER_MS, STOP_EXECUTION_MS } from '../runtime/limits.js';
import type { Settings } from '../runtime/settings.js';
import { STRATEGY_SCRATCH_BYTES } from '../runtime/strategy-record.js';

export interface ChildSpec extends ChildRule {
  /** The worker file, built. */
  readonly entry: URL;
  /**
   * Both must be given: with one of them a worker's full heap can end the whole process (design section 6). The young
   * generation is small since a worker fills it before it is collected, whatever of it is garbage: at 64 MB seven
   * workers held some 25 MB more at the same processor time, and 20,000 frames a second were read no sooner.
   */
  readonly resourceLimits: Required<
    Pick<ResourceLimits, 'maxOldGenerationSizeMb' | 'maxYoungGenerationSizeMb'>
  >;
  /** True for the workers that write to the venue, and so live under the lease. */
  readonly leased: boolean;
  /** Memory that outlives its incarnations, bytes; 0 for none. */
  readonly scratchBytes: number;
}

type Row = Omit<ChildSpec, 'entry' | 'readyWithinMs' | 'scratchBytes' | 'expendable'> &
  Partial<Pick<ChildSpec, 'readyWithinMs' | 'scratchBytes' | 'expendable'>>;

/**
 * What restarts with what: a worker starts afresh with the one whose knowledge it has copied. Market data and telemetry
 * are copied by nobody: their peers only lose a channel and get a new one.
 */
const ROWS: readonly Row[] = [
  {
    actor: 'paper-exchange',
    stopWithinMs: 1_000,
    restartsWith: ['market-data', 'reconciliation', 'execution', 'strategy'],
    holdWhileDown: 'worker-down',
    terminable: true,
    recoversAccount: true,
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
    signs: false,
    leased: false,
  },
  {
    actor: 'ledger',
    stopWithinMs: 3_000,
    restartsWith: ['reconciliation', 'execution', 'strategy'],
    holdWhileDown: 'ledger',
    terminable: false,
    recoversAccount: true,
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
    signs: false,
    leased: false,
  },
  {
    actor: 'telemetry',
    stopWithinMs: 1_000,
    restartsWith: [],
    holdWhileDown: null,
    terminable: true,
    recoversAccount: false,
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
    signs: false,
    leased: false,
  },
  {
    actor: 'market-data',
    scratchBytes: ATTEMPT_LOG_BYTES,
    stopWithinMs: 1_000,
    restartsWith: [],
    holdWhileDown: 'worker-down',
    terminable: true,
    recoversAccount: false,
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
    signs: false,
    leased: false,
  },
  {
    actor: 'reconciliation',
    stopWithinMs: 2_000,
    restartsWith: ['execution', 'strategy'],
    holdWhileDown: 'worker-down',
    terminable: true,
    recoversAccount: true,
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
    signs: true,
    leased: false,
  },
  {
    actor: 'execution',
    stopWithinMs: STOP_EXECUTION_MS,
    restartsWith: ['strategy'],
    holdWhileDown: 'worker-down',
    terminable: true,
    recoversAccount: false,
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 },
    signs: true,
    leased: true,
  },
  {
    actor: 'strategy',
    scratchBytes: STRATEGY_SCRATCH_BYTES,
    stopWithinMs: 500,
    restartsWith: [],
    holdWhileDown: 'worker-down',
    terminable: true,
    recoversAccount: false,
    resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 16 },
    signs: false,
    leased: false,
  },
  {
    actor: 'twin',
    stopWithinMs: 500,
    restartsWith: [],
    holdWhileDown: null,
    terminable: true,
    recoversAccount: false,
    resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 32 },
    signs: false,
    leased: false,
    expendable: true,
  },
];

/** The built worker file of an actor. */
const builtEntry = (actor: ActorName): URL => new URL(`../workers/${actor}.js`, import.meta.url);

/** The workers a configuration needs: live has no embedded exchange, and only who asks for a twin has one. */
export const childSpecs = (
  settings: Pick<Settings, 'mode'> & Partial<Pick<Settings, 'paperTwin'>>,
  entryOf: (actor: ActorName) => URL = builtEntry,
): readonly ChildSpec[] =>
  ROWS.filter(
    ({ actor }) =>
      (actor !== 'paper-exchange' || settings.mode !== 'live') &&
      (actor !== 'twin' || settings.paperTwin === true),
  ).map(row => ({
    readyWithinMs: START_WORKER_MS,
    scratchBytes: 0,
    expendable: false,
    ...row,
    entry: entryOf(row.actor),
  }));
