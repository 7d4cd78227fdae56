/** `btcbot backtest`: what a strategy would have done on a recording. */
import { readFileSync, writeFileSync } from 'node:fs';
import { type Amount, tryParseDecimal } from '../domain/money.js';
import type { StrategyDefinition } from '../domain/strategy.js';
import { RecordingError } from '../exchange/recording.js';
import { runExact } from '../research/exact-run.js';
import { FILL_MODELS, type FillModel } from '../research/fast-market.js';
import { runFast } from '../research/fast-run.js';
import { makeReport } from '../research/report.js';
import { reportText } from '../research/report-text.js';
import type { RunResult } from '../research/run-result.js';
import { StudyRefused, studyParameters, studySettings, tryRatesFor, writeLedger } from '../research/study.js';
import { readTape, writeTapeFile } from '../research/tape-file.js';
import { wallMs } from '../runtime/clock.js';
import { importStrategy, isModulePath, StrategyModuleError } from '../runtime/strategy-module.js';
import { loadRecording } from '../simulation/load-recording.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import { countOption, noPositionals, textOption } from './books.js';
import { CliRefused } from './refused.js';
import { json } from './table.js';
import type { Verb, VerbIo } from './verb.js';

type Values = Readonly<Record<string, unknown>>;

export const verb: Verb = {
  name: 'backtest',
  usage:
    'backtest --recording PATH [--strategy NAME|FILE] [--strategy-config JSON|FILE] [--engine fast|exact] [--fills queue|touch|through|all] [--fee-level 1..8] [--try-rate USDT=48.57] [--ledger FILE] [--binary FILE] [--seed N] [--config FILE] [--json]',
  about: `Runs a strategy over a recorded market and reports what it would have earned: the same strategy file, risk gate,
order machine and accounting as live, on the limits and balances of a paper run (environment and --config).

--recording PATH  a directory of btcbot record, one of its parts, a file of {"at", "frame"} lines, or a binary tape
--engine          fast (default): the brains alone over flat arrays. exact: the whole bot and the embedded exchange under
                  virtual time, to the last byte of the ledger; fills as the paper exchange makes them (queue)
--fills           when a resting order fills: touch (hopeful), queue (default; displayed quantity ahead trades first),
                  through (cautious); all runs every one of them and shows the band
--try-rate        lira for one unit of a quote asset, once or more; the embedded exchange's own when absent
--ledger FILE     writes the run into a new ledger: orders, fills, pnl and explain read it with --db FILE
--binary FILE     writes the market in binary form: later runs read it instead of the recording, many times faster
JSON: the report; see docs/RESEARCH.md.`,
  options: {
    recording: { type: 'string' },
    strategy: { type: 'string' },
    'strategy-config': { type: 'string' },
    engine: { type: 'string' },
    fills: { type: 'string' },
    'fee-level': { type: 'string' },
    'try-rate': { type: 'string', multiple: true },
    ledger: { type: 'string' },
    binary: { type: 'string' },
    seed: { type: 'string' },
  },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    try {
      return await backtest(values, io);
    } catch (error) {
      if (
        error instanceof RecordingError ||
        error instanceof StudyRefused ||
        error instanceof StrategyModuleError
      )
        throw new CliRefused(error.message);
      throw error;
    }
  },
};

const backtest = async (values: Values, io: VerbIo): Promise<number> => {
  const path = textOption(values, 'recording');
  if (path === undefined) throw new CliRefused(`--recording is needed\nusage: btcbot ${verb.usage}`);
  const engine = oneOf(values, 'engine', ['fast', 'exact'] as const, 'fast');
  const fills = oneOf(values, 'fills', [...FILL_MODELS, 'all'] as const, 'queue');
  if (engine === 'exact' && fills !== 'queue')
    throw new CliRefused(
      '--engine exact fills as the paper exchange does; leave --fills out, or use --engine fast',
    );
  const definition = await strategyFrom(textOption(values, 'strategy') ?? io.env.STRATEGY ?? 'observe');
  const config = configFrom(textOption(values, 'strategy-config') ?? io.env.STRATEGY_CONFIG);
  const tape = await readTape(path);
  const binary = textOption(values, 'binary');
  if (binary !== undefined) writeTapeFile(binary, tape);
  const settings = studySettings({
    definition,
    config,
    symbols: tape.listings.map(({ symbol }) => symbol),
    inputs: {
      env: io.env,
      configFile: textOption(values, 'config'),
      cwd: process.cwd(),
      readFile: file => readFileSync(file, 'utf8'),
      nowMs: wallMs(),
    },
  });
  const common = {
    definition,
    parameters: studyParameters(definition, config),
    settings,
    opening: settings.paper.balances,
    feeLevel: feeLevelFrom(values),
    tape,
  };
  const seed = countOption(values, 'seed') ?? 1;
  const tryRates = tryRatesFor(
    tape.listings.map(({ quote }) => quote),
    ratesFrom(values),
  );
  const fast = (fillModel: FillModel): RunResult => runFast({ ...common, fillModel, tryRates });
  let run: RunResult;
  const ledger = textOption(values, 'ledger');
  if (engine === 'exact') {
    const exact = runExact({ ...common, seed, recording: await loadRecording(path) });
    run = exact.result;
    if (ledger !== undefined) writeFileSync(ledger, exact.ledger, { flag: 'wx' });
  } else {
    run = fast(fills === 'all' ? 'queue' : fills);
    if (ledger !== undefined) writeLedger(ledger, run);
  }
  const band = fills === 'all' ? FILL_MODELS.map(model => (model === 'queue' ? run : fast(model))) : [];
  const report = makeReport(run, { seed, band });
  io.out(values.json === true ? json(report) : reportText(report));
  return 0;
};

const oneOf = <T extends string>(values: Values, name: string, allowed: readonly T[], otherwise: T): T => {
  const given = textOption(values, name);
  if (given === undefined) return otherwise;
  const found = allowed.find(each => each === given);
  if (found === undefined)
    throw new CliRefused(`--${name} must be ${allowed.join(', ')}, not ${JSON.stringify(given)}`);
  return found;
};

/** A built-in strategy by its name, or a user's file. */
const strategyFrom = async (name: string): Promise<StrategyDefinition> => {
  if (isModulePath(name)) return importStrategy(name, process.cwd());
  const found = findStrategy(name);
  if (found !== undefined) return found;
  throw new CliRefused(
    `--strategy ${name} is not a strategy; there are ${STRATEGIES.map(each => each.name).join(', ')}, or give the path of a file`,
  );
};

const configFrom = (given: string | undefined): Readonly<Record<string, unknown>> => {
  if (given === undefined || given === '') return {};
  let text = given;
  if (!given.trimStart().startsWith('{'))
    try {
      text = readFileSync(given, 'utf8');
    } catch (error) {
      throw new CliRefused(`cannot read --strategy-config ${given}: ${(error as Error).message}`);
    }
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Readonly<Record<string, unknown>>;
  } catch {
    // The refusal below says it.
  }
  throw new CliRefused('--strategy-config must be a JSON object, or the path of a file with one');
};

const feeLevelFrom = (values: Values): number => {
  const level = countOption(values, 'fee-level') ?? 1;
  if (level > 8) throw new CliRefused(`--fee-level must be 1 to 8, not ${level}`);
  return level;
};

const ratesFrom = (values: Values): ReadonlyMap<string, Amount> => {
  const given = values['try-rate'];
  const rates = new Map<string, Amount>();
  for (const each of Array.isArray(given) ? (given as readonly string[]) : []) {
    const [asset = '', rate = ''] = each.split('=');
    const value = tryParseDecimal(rate);
    if (!/^[A-Z0-9]{2,10}$/.test(asset) || value === undefined || value <= 0n)
      throw new CliRefused(`--try-rate must be ASSET=LIRA, as in USDT=48.57, not ${JSON.stringify(each)}`);
    rates.set(asset, value);
  }
  return rates;
};
