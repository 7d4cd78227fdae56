/** What the tests of research are made over: tapes of generated recordings, settings of a paper run, a world's phases. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import { soleMember } from '#src/domain/strategy-portfolio.js';
import { EVERY_TICK } from '#src/research/exact-run.js';
import { DEFAULT_RUN_LATENCY, type RunLatency } from '#src/research/latency.js';
import { portfolioMembers, portfolioSettings, studyParameters, studySettings } from '#src/research/study.js';
import type { MarketTape } from '#src/research/tape.js';
import { readTape } from '#src/research/tape-file.js';
import type { ConfigInputs } from '#src/runtime/config.js';
import type { Settings } from '#src/runtime/settings.js';
import { DEFAULT_LATENCIES, type WorldLatencies } from '#src/simulation/latencies.js';
import { loadRecording } from '#src/simulation/load-recording.js';
import { START_MONO_MS } from '#src/simulation/virtual-time.js';
import { createWorld, type WorldRecording } from '#src/simulation/world.js';
import { recordingLines } from '../support/generated-recording.js';

/** The shared recording, or null where it is not there. */
export const sharedRecording = (): string | null => {
  const path = join(process.env.BTCBOT_SHARED ?? join('..', 'shared'), 'data', 'btcusdt-2024-08-08.jsonl.gz');
  return existsSync(path) ? path : null;
};

export interface GeneratedMarket {
  readonly path: string;
  readonly tape: MarketTape;
  readonly recording: WorldRecording;
  remove(): void;
}

/** Of several symbols the frames come at the same times. */
export const generatedMarket = async (
  seconds: number,
  seed = 7,
  symbols: readonly string[] = ['BTCUSDT'],
): Promise<GeneratedMarket> => {
  const folder = mkdtempSync(join(tmpdir(), 'btcbot-research-'));
  const path = join(folder, 'market.jsonl.gz');
  const lines = symbols.flatMap((symbol, index) =>
    recordingLines({ seed: seed + index, seconds, symbol, midCents: 6_000_000 }).map(line => ({
      line,
      atMs: (JSON.parse(line) as { readonly at: number }).at,
    })),
  );
  lines.sort((left, right) => left.atMs - right.atMs);
  writeFileSync(path, gzipSync(`${lines.map(({ line }) => line).join('\n')}\n`));
  return {
    path,
    tape: await readTape(path),
    recording: await loadRecording(path),
    remove: () => rmSync(folder, { recursive: true }),
  };
};

/** What every run of a strategy on a tape is told. */
export const studyOf = (
  definition: StrategyDefinition,
  tape: MarketTape,
  config: Readonly<Record<string, unknown>> = {},
  env: Readonly<Record<string, string>> = {},
) => {
  const settings = studySettings({
    definition,
    config,
    symbols: tape.listings.map(({ symbol }) => symbol),
    inputs: { ...inputsAt(tape), env },
  });
  return {
    ...studyFor(settings, tape),
    members: [soleMember(definition, studyParameters(definition, config), settings.symbols)],
  };
};

/** What every run of several strategies on a tape is told, as `STRATEGIES` of the environment has them. */
export const portfolioOf = async (
  tape: MarketTape,
  strategies: readonly object[],
  env: Readonly<Record<string, string>> = {},
) => {
  const settings = portfolioSettings({
    symbols: tape.listings.map(({ symbol }) => symbol),
    inputs: { ...inputsAt(tape), env: { ...env, STRATEGIES: JSON.stringify(strategies) } },
  });
  return { ...studyFor(settings, tape), members: await portfolioMembers(settings, '/') };
};

const inputsAt = (tape: MarketTape): Omit<ConfigInputs, 'env'> => ({
  cwd: '/',
  readFile: path => {
    throw new Error(`nothing is read here, and ${path} was asked for`);
  },
  nowMs: tape.atMs[0] ?? 0,
});

const studyFor = (settings: Settings, tape: MarketTape) => ({
  settings,
  opening: settings.paper.balances,
  feeLevel: 1,
  tape,
});

const steady = ({ leastMs, meanExtraMs }: { readonly leastMs: number; readonly meanExtraMs: number }) => ({
  leastMs: leastMs + meanExtraMs,
  meanExtraMs: 0,
});
const { network } = DEFAULT_LATENCIES;

/** The world's latencies at their means, nothing left to chance. */
export const STEADY_LATENCIES: WorldLatencies = {
  spawn: steady(DEFAULT_LATENCIES.spawn),
  hop: steady(DEFAULT_LATENCIES.hop),
  network: {
    connection: steady(network.connection),
    toVenue: steady(network.toVenue),
    fromVenue: steady(network.fromVenue),
  },
};

/**
 * Where in its 50 ms each part of a world ticks, and when its bot could trade first: looked up in a world that starts
 * as the one to be compared with does.
 */
export const phasesOf = (
  definition: StrategyDefinition,
  recording: WorldRecording,
): { readonly latency: RunLatency; readonly tradeFromMs: number } => {
  const seen = new Map<string, number>();
  const note = (what: string): void => {
    if (!seen.has(what)) seen.set(what, world.time.now().monoMs);
  };
  const world = createWorld({
    seed: 1,
    symbols: recording.listings.map(({ symbol }) => symbol),
    strategy: definition,
    recording,
    latencies: { ...STEADY_LATENCIES, ...EVERY_TICK },
    watcher: {
      onHappening: what => note(what),
      onMessage: (from, to, message) => note(`${from}>${to} ${(message as { readonly type: string }).type}`),
      onLog: (actor, _level, event) => note(`${actor}: ${event}`),
    },
  });
  world.start();
  world.run(3_000);
  const at = (what: string): number => {
    const found = seen.get(what);
    if (found === undefined) throw new Error(`the world has not come to: ${what}`);
    return found;
  };
  const first = at('recorded frame');
  const subscribed = at('market-data: market-data-connected') + STEADY_LATENCIES.network.toVenue.leastMs;
  return {
    latency: {
      ...DEFAULT_RUN_LATENCY,
      leadMs: first - START_MONO_MS,
      strategyStartMs: at('ledger>strategy snapshot-given') - first,
      strategyTickMs: at('strategy tick') - first,
      executionTickMs: at('execution tick') - first,
      reconciliationTickMs: at('reconciliation tick') - first,
      fullBookMs: Math.ceil(subscribed * 64) / 64 - first,
    },
    tradeFromMs: at('reconciliation>execution reconciled') - first,
  };
};
