/** `btcbot sweep`: many parameter sets of a strategy on one recording, or on candles. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { ParameterValues, StrategyDefinition } from '../domain/strategy.js';
import { needsOf } from '../domain/strategy-definition.js';
import { checkParameters } from '../domain/strategy-parameters.js';
import { soleMember } from '../domain/strategy-portfolio.js';
import { tooLongFor } from '../research/candle-run.js';
import { FILL_MODELS } from '../research/fast-market.js';
import { makeReport, periodOf, varianceOf } from '../research/report.js';
import { reportText } from '../research/report-text.js';
import { type Axis, gridOf, readAxis } from '../research/search.js';
import { studyParameters } from '../research/study.js';
import { digestOf, lengthOfRun, runStudy, type StudyMarket, spanOf } from '../research/study-market.js';
import { METHODS, runSweep, type SweepOutcome, segmentsOf } from '../research/sweep.js';
import { openSweepStore } from '../research/sweep-store.js';
import { SCORES, type SweepTask } from '../research/sweep-task.js';
import { isTapeFile, writeTapeFile } from '../research/tape-file.js';
import { buildId } from '../runtime/build-id.js';
import { wallMs } from '../runtime/clock.js';
import { givesSetting } from '../runtime/config.js';
import { isModulePath, moduleDigest } from '../runtime/strategy-module.js';
import { countOption, noPositionals, textOption } from './books.js';
import { CliRefused } from './refused.js';
import {
  askedStrategy,
  asksForSeveral,
  configInputs,
  feeLevelFrom,
  MARKET_ABOUT,
  MARKET_OPTIONS,
  MARKET_USAGE,
  marketFrom,
  marketRates,
  oneOf,
  refusing,
  settingsFor,
  strategyFrom,
  type Values,
} from './research-options.js';
import { json } from './table.js';
import type { Verb, VerbIo } from './verb.js';

export const verb: Verb = {
  name: 'sweep',
  usage: `sweep ${MARKET_USAGE} --strategy NAME|FILE --sweep NAME=1,2,3 [--sweep NAME=1..9 …] [--method grid|random|search] [--trials N] [--segments K] [--score profit|sharpe] [--fills queue|touch|through] [--threads N] [--db FILE] [--seed N] [--strategy-config JSON|FILE] [--fee-level 1..8] [--try-rate USDT=48.57] [--config FILE] [--json]`,
  about: `Tries parameter sets of a strategy on a recording (all its symbols at once) or on candles, on every core, and says
which would have been chosen.

${MARKET_ABOUT}
--sweep       a parameter with its values, or its range; once or more
--method      grid (default): every combination. random: so many, drawn. search: half of it drawn near the best so far
--segments K  cuts the market's time into K parts; each set runs on each. For every part after the first the best set of the
              parts before it is shown with what it came to there: the walk forward. Each part begins with its warm-up,
              and a set whose warm-up a part is too short for has no score there
--db FILE     keeps the results (default ./data/sweeps.sqlite), not a bot's ledger. A sweep that was broken off goes on where it
              stopped when it is given again; when market, strategy file or btcbot have changed, it begins anew
The report of the best set follows, with the Sharpe ratio deflated by the number of sets that were tried.
JSON: { trials: [{ parameters, score, scores, profitTry, sharpe, fills, trades }], walkForward: [{ segment, parameters,
trainScore, testScore }] (nulls where no set has a score before), finished, ran, known, best: <report> | null }. Exit code 1 when it was broken off.`,
  options: {
    ...MARKET_OPTIONS,
    strategy: { type: 'string' },
    'strategy-config': { type: 'string' },
    sweep: { type: 'string', multiple: true },
    method: { type: 'string' },
    trials: { type: 'string' },
    segments: { type: 'string' },
    score: { type: 'string' },
    fills: { type: 'string' },
    threads: { type: 'string' },
    db: { type: 'string' },
    seed: { type: 'string' },
    'fee-level': { type: 'string' },
    'try-rate': { type: 'string', multiple: true },
  },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    // Looked at before anything is put there: from now on a stop comes by it, and leaves nothing behind.
    const { signal } = io;
    const scratch = scratchFolder();
    try {
      return await refusing(() => sweep(values, { ...io, signal }, scratch));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
};

/** @throws CliRefused where no temporary files can be made */
const scratchFolder = (): string => {
  try {
    return mkdtempSync(join(tmpdir(), 'btcbot-sweep-'));
  } catch (error) {
    throw new CliRefused(
      `a sweep needs room for temporary files: ${(error as Error).message}; TMPDIR names another folder`,
    );
  }
};

const DEFAULT_TRIALS = 50;
const THREADS_MOST = 256;

const sweep = async (values: Values, io: VerbIo, scratch: string): Promise<number> => {
  const inputs = configInputs(values, io);
  if (asksForSeveral(values, inputs))
    throw new CliRefused(
      'a sweep tries the parameters of one strategy, and STRATEGIES names several: give --strategy',
    );
  const given = values.sweep;
  const axesGiven = Array.isArray(given) ? (given as readonly string[]) : [];
  const isNamed = textOption(values, 'strategy') !== undefined || givesSetting(inputs, 'STRATEGY');
  if (!isNamed || axesGiven.length === 0)
    throw new CliRefused(`--strategy and --sweep are needed\nusage: btcbot ${verb.usage}`);
  const { name: strategy, config } = askedStrategy(values, inputs);
  const definition = await strategyFrom(strategy);
  const axes = axesGiven.map(each => readAxis(each, definition.parameters));
  mustAllowSome(definition, config, axes);
  const method = oneOf(values, 'method', METHODS, 'grid');
  const score = oneOf(values, 'score', SCORES, 'profit');
  const fillModel = oneOf(values, 'fills', FILL_MODELS, 'queue');
  const seed = countOption(values, 'seed') ?? 1;
  const count = countOption(values, 'segments') ?? 1;
  const feeLevel = feeLevelFrom(values);
  const { path, market } = await marketFrom(values, verb.usage);
  mustSuitSome(definition, config, axes, market);
  const settings = settingsFor(definition, config, market, inputs);
  const tryRates = marketRates(market, values);
  const [fromMs, toMs] = spanOf(market);
  const segments = segmentsOf(fromMs, toMs, count);
  const study = JSON.stringify([
    resolve(path),
    ...(market.type === 'recording'
      ? [market.tape.length]
      : [market.candles.length, market.candles.listing.symbol, market.candles.interval]),
    fromMs,
    toMs,
    digestOf(market),
    isModulePath(strategy) ? resolve(strategy) : strategy,
    // What was tried with other code is not known.
    isModulePath(strategy) ? moduleDigest(resolve(strategy)) : '',
    buildId(),
    config,
    settings.configHash,
    [...tryRates].map(([asset, rate]) => [asset, String(rate)]),
    fillModel,
    feeLevel,
    score,
    count,
  ]);
  const store = openSweepStore(
    textOption(values, 'db') ?? join('data', 'sweeps.sqlite'),
    study,
    new Date(wallMs()).toISOString(),
  );
  const bar = io.terminal
    ? new SingleBar(
        { format: '{bar} {percentage} % | {value} of {total} runs | {eta_formatted} left', hideCursor: true },
        Presets.shades_classic,
      )
    : null;
  let begun = false;
  let outcome: SweepOutcome;
  try {
    outcome = await runSweep({
      method,
      axes,
      trials: countOption(values, 'trials') ?? DEFAULT_TRIALS,
      seed,
      segments,
      threads: countOption(values, 'threads', THREADS_MOST) ?? availableParallelism(),
      store,
      signal: io.signal,
      task: {
        ...marketFile(path, market, scratch),
        strategy,
        config,
        settings,
        tryRates,
        fillModel,
        feeLevel,
        score,
        periodMs: periodOf(lengthOfRun(market)),
      },
      onProgress: (done, total) => {
        if (bar === null) return;
        if (begun) bar.update(done);
        else bar.start(total, done);
        begun = true;
      },
    });
  } finally {
    bar?.stop();
    store.close();
  }
  // A set that the strategy refuses was never tried.
  const tried = outcome.trials.filter(
    ({ candidate }) => checkParameters(definition, { ...config, ...candidate }).ok,
  );
  const best = tried[0];
  const report =
    best === undefined || !outcome.finished
      ? null
      : makeReport(
          runStudy(market, {
            members: [
              soleMember(
                definition,
                studyParameters(definition, { ...config, ...best.candidate }),
                settings.symbols,
              ),
            ],
            settings,
            opening: settings.paper.balances,
            fillModel,
            feeLevel,
            tryRates,
          }),
          {
            seed,
            trials: tried.length,
            trialVariance: varianceOf(
              tried.flatMap(({ results }) =>
                results.every(({ sharpe }) => sharpe !== null)
                  ? [results.reduce((sum, { sharpe }) => sum + (sharpe ?? 0), 0) / results.length]
                  : [],
              ),
            ),
          },
        );
  if (values.json === true)
    io.out(
      json({
        trials: outcome.trials.map(({ candidate, scores, results }) => ({
          parameters: candidate,
          score: scores.reduce((sum, each) => sum + each, 0),
          scores,
          profitTry: results.map(({ profitTry }) => profitTry),
          sharpe: results.map(({ sharpe }) => sharpe),
          fills: results.reduce((sum, { fills }) => sum + fills, 0),
          trades: results.reduce((sum, { trades }) => sum + trades, 0),
        })),
        walkForward: outcome.walk.map(({ chosen, ...step }) => ({ ...step, parameters: chosen })),
        finished: outcome.finished,
        ran: outcome.ran,
        known: outcome.known,
        best: report,
      }),
    );
  else io.out(`${outcomeText(outcome)}${report === null ? '' : `\n${reportText(report)}`}`);
  return outcome.finished ? 0 : 1;
};

/** Refuses parameters that are wrong whatever is swept: as they are given, and with every set of a grid. */
const mustAllowSome = (
  definition: StrategyDefinition,
  config: Readonly<Record<string, unknown>>,
  axes: readonly Axis[],
): void => {
  const sets = [{}, ...gridOf(axes)].map(set => ({ ...config, ...set }));
  if (!sets.some(set => checkParameters(definition, set).ok)) studyParameters(definition, sets[1] ?? config);
};

/** Refuses candles that are too long for every set. */
const mustSuitSome = (
  definition: StrategyDefinition,
  config: Readonly<Record<string, unknown>>,
  axes: readonly Axis[],
  market: StudyMarket,
): void => {
  if (market.type !== 'candles') return;
  const problemOf = (values: ParameterValues): string | null => {
    try {
      return tooLongFor(market.candles.interval, needsOf(definition, values).candles);
    } catch (error) {
      throw new CliRefused(error instanceof Error ? error.message : String(error));
    }
  };
  const problems = [{}, ...gridOf(axes)].flatMap(set => {
    const checked = checkParameters(definition, { ...config, ...set });
    return checked.ok ? [problemOf(checked.values)] : [];
  });
  const [problem] = problems;
  if (typeof problem === 'string' && !problems.includes(null)) throw new CliRefused(problem);
};

/** The market as a file that threads read: candles as they are, a recording in binary form. */
const marketFile = (
  path: string,
  market: StudyMarket,
  scratch: string,
): Pick<SweepTask, 'tapePath' | 'candles'> => {
  if (market.type === 'candles') {
    const { listing, interval } = market.candles;
    return { tapePath: path, candles: { symbol: listing.symbol, interval } };
  }
  if (isTapeFile(path)) return { tapePath: path };
  const tapePath = join(scratch, 'market.tape');
  writeTapeFile(tapePath, market.tape);
  return { tapePath };
};

const SHOWN = 10;
const scoreText = (score: number | null): string =>
  score === null || !Number.isFinite(score) ? 'no score' : score.toFixed(4);
const outcomeText = ({ trials, walk, finished, ran, known }: SweepOutcome): string =>
  [
    `${trials.length} sets of parameters, ${ran} runs now, ${known} known from before`,
    ...(finished ? [] : ['Broken off: give the same command again to go on.']),
    ...trials
      .slice(0, SHOWN)
      .map(
        ({ candidate, scores }) =>
          `  ${scoreText(scores.reduce((sum, each) => sum + each, 0)).padStart(14)}  ${JSON.stringify(candidate)}`,
      ),
    ...(walk.length === 0 ? [] : ['Walk forward: chosen before a part, and what it came to there']),
    ...walk.map(({ segment, chosen, trainScore, testScore }) =>
      chosen === null
        ? `  part ${segment + 1}: none, since no set has a score on the parts before`
        : `  part ${segment + 1}: ${scoreText(trainScore)} -> ${scoreText(testScore)}  ${JSON.stringify(chosen)}`,
    ),
    '',
  ].join('\n');
