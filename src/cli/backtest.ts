/** `btcbot backtest`: what a strategy would have done on a recording or on candles. */
import { writeFileSync } from 'node:fs';
import type { PortfolioMember } from '../domain/strategy-portfolio.js';
import { soleMember } from '../domain/strategy-portfolio.js';
import { runExact } from '../research/exact-run.js';
import { FILL_MODELS, type FillModel } from '../research/fast-market.js';
import { checkLookahead, type LookaheadResult } from '../research/lookahead.js';
import { makeReport } from '../research/report.js';
import { reportHtml } from '../research/report-html.js';
import { reportText } from '../research/report-text.js';
import type { RunResult } from '../research/run-result.js';
import { portfolioMembers, studyParameters, writeLedger } from '../research/study.js';
import { marketUntil, runStudy, type StudyMarket } from '../research/study-market.js';
import { tapeUntil } from '../research/tape.js';
import { writeTapeFile } from '../research/tape-file.js';
import type { ConfigInputs } from '../runtime/config.js';
import type { Settings } from '../runtime/settings.js';
import { loadRecording } from '../simulation/load-recording.js';
import { countOption, noPositionals, textOption } from './books.js';
import { mustBeNew, mustBePossible, writeNew, writing } from './new-file.js';
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
  settingsOfSeveral,
  strategyFrom,
  type Values,
} from './research-options.js';
import { json } from './table.js';
import type { Verb, VerbIo } from './verb.js';

export const verb: Verb = {
  name: 'backtest',
  usage: `backtest ${MARKET_USAGE} [--strategy NAME|FILE] [--strategy-config JSON|FILE] [--strategies JSON|FILE] [--engine fast|exact] [--fills queue|touch|through|all] [--fee-level 1..8] [--try-rate USDT=48.57] [--html FILE] [--ledger FILE] [--binary FILE] [--check-lookahead] [--seed N] [--config FILE] [--json]`,
  about: `Runs a strategy over a recorded market or candles and reports what it would have earned: the same strategy file,
risk gate, order machine and accounting as live, on the limits and balances of a paper run (environment and --config).

${MARKET_ABOUT}
--strategies LIST  several strategies at once under the one risk gate, in the form of the setting STRATEGIES; that setting
                   counts where neither this nor --strategy is given. The report has a table of them beside the totals
--engine           fast (default): the brains alone over flat arrays. exact: the whole bot and the embedded exchange
                   under virtual time, to the last byte of the ledger; fills as the paper exchange makes them (queue)
--fills            when a resting order fills: touch (hopeful), queue (default; displayed quantity ahead trades first),
                   through (cautious); all runs every one of them and shows the band
--try-rate         lira for one unit of a quote asset, once or more; the embedded exchange's own when absent
--html FILE        writes the report as one page with plots
--ledger FILE      writes the run into a new ledger: orders, fills, pnl and explain read it with --db FILE
--binary FILE      writes the market in binary form: later runs read it instead of the recording, many times faster
--check-lookahead  runs again on data that end earlier, at eight times: every decision before the end must be the same.
                   Exit code 1 when one is not
JSON: the report (strategies: [] with several), with lookahead: { cuts, compared, findings: [] } when it was asked for.`,
  options: {
    ...MARKET_OPTIONS,
    strategy: { type: 'string' },
    'strategy-config': { type: 'string' },
    strategies: { type: 'string' },
    engine: { type: 'string' },
    fills: { type: 'string' },
    'fee-level': { type: 'string' },
    'try-rate': { type: 'string', multiple: true },
    html: { type: 'string' },
    ledger: { type: 'string' },
    binary: { type: 'string' },
    'check-lookahead': { type: 'boolean' },
    seed: { type: 'string' },
  },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    return refusing(() => backtest(values, io));
  },
};

/** Times at which the look-ahead check ends the data. */
const CUTS = 8;

/** A market to run on: the same run under another fill model, or on data that end earlier. */
interface Stage {
  run(fillModel: FillModel): RunResult;
  runUntil(untilMs: number): RunResult;
  /** The run's ledger as a file, where the engine leaves one. */
  readonly ledger: Buffer | null;
}

const backtest = async (values: Values, io: VerbIo): Promise<number> => {
  const fills = oneOf(values, 'fills', [...FILL_MODELS, 'all'] as const, 'queue');
  const ledger = textOption(values, 'ledger');
  // Before the work, and never into somebody's books.
  if (ledger !== undefined) mustBeNew(ledger);
  const page = textOption(values, 'html');
  for (const made of [page, textOption(values, 'binary')]) if (made !== undefined) mustBePossible(made);
  const stage = await stageFor(values, io, fills);
  const run = stage.run(fills === 'all' ? 'queue' : fills);
  const band = fills === 'all' ? FILL_MODELS.map(model => (model === 'queue' ? run : stage.run(model))) : [];
  const report = makeReport(run, { seed: countOption(values, 'seed') ?? 1, band });
  const lookahead = values['check-lookahead'] === true ? checkLookahead(run, stage.runUntil, CUTS) : null;
  if (values.json === true) io.out(json(lookahead === null ? report : { ...report, lookahead }));
  else io.out(`${reportText(report)}${lookahead === null ? '' : `\n${lookaheadText(lookahead)}`}`);
  // After the report: a disk that has filled up meanwhile costs the file, not the run.
  if (page !== undefined) writing(page, () => writeFileSync(page, reportHtml(report)));
  if (ledger !== undefined)
    if (stage.ledger === null) writeLedger(ledger, run);
    else writeNew(ledger, stage.ledger);
  return lookahead !== null && lookahead.findings.length > 0 ? 1 : 0;
};

/** Refuses options that contradict each other, all of them at once. */
const mustFit = (
  values: Values,
  engine: 'fast' | 'exact',
  fills: FillModel | 'all',
  several: boolean,
): void => {
  const given = (name: string): boolean => textOption(values, name) !== undefined;
  const problems: string[] = [];
  if (engine === 'exact' && (fills !== 'queue' || given('candles')))
    problems.push(
      '--engine exact runs on a recording and fills as the paper exchange does: leave --fills out',
    );
  if (engine === 'exact' && values['try-rate'] !== undefined)
    problems.push('--engine exact has the embedded exchange’s own prices of lira: leave --try-rate out');
  if (given('binary') && given('candles'))
    problems.push('--binary writes a recording in binary form, and candles have none: leave --binary out');
  if (given('strategies') && given('strategy'))
    problems.push('--strategies names all that run: leave --strategy out');
  if (several && given('strategy-config'))
    problems.push(
      '--strategy-config belongs to --strategy: each entry of STRATEGIES has a config of its own',
    );
  if (problems.length > 0) throw new CliRefused(problems.join('\n'));
};

/** What runs, and its settings. */
const castOf = async (
  values: Values,
  market: StudyMarket,
  inputs: ConfigInputs,
): Promise<{ readonly settings: Settings; readonly members: readonly PortfolioMember[] }> => {
  if (asksForSeveral(values, inputs)) {
    const settings = settingsOfSeveral(market, inputs);
    return { settings, members: await portfolioMembers(settings, inputs.cwd) };
  }
  const { name, config } = askedStrategy(values, inputs);
  const definition = await strategyFrom(name);
  const settings = settingsFor(definition, config, market, inputs);
  return {
    settings,
    members: [soleMember(definition, studyParameters(definition, config), settings.symbols)],
  };
};

const stageFor = async (values: Values, io: VerbIo, fills: FillModel | 'all'): Promise<Stage> => {
  const engine = oneOf(values, 'engine', ['fast', 'exact'] as const, 'fast');
  const inputs = configInputs(values, io);
  mustFit(values, engine, fills, asksForSeveral(values, inputs));
  const { path, market } = await marketFrom(values, verb.usage);
  const { settings, members } = await castOf(values, market, inputs);
  const study = {
    members,
    settings,
    opening: settings.paper.balances,
    feeLevel: feeLevelFrom(values),
  };
  const binary = textOption(values, 'binary');
  if (binary !== undefined && market.type === 'recording')
    writing(binary, () => writeTapeFile(binary, market.tape));
  if (engine === 'exact' && market.type === 'recording') {
    const { tape } = market;
    const seed = countOption(values, 'seed') ?? 1;
    const played = await loadRecording(path);
    const exact = runExact({ ...study, seed, tape, recording: played });
    return {
      run: () => exact.result,
      runUntil: untilMs =>
        runExact({
          ...study,
          seed,
          tape: tapeUntil(tape, untilMs),
          recording: { ...played, entries: played.entries.filter(({ atMs }) => atMs <= untilMs) },
        }).result,
      ledger: exact.ledger,
    };
  }
  const tryRates = marketRates(market, values);
  return {
    run: fillModel => runStudy(market, { ...study, fillModel, tryRates }),
    runUntil: untilMs =>
      runStudy(marketUntil(market, untilMs), {
        ...study,
        untilMs,
        fillModel: fills === 'all' ? 'queue' : fills,
        tryRates,
      }),
    ledger: null,
  };
};

const lookaheadText = ({ cuts, compared, findings }: LookaheadResult): string =>
  findings.length === 0
    ? `Look-ahead: none. ${compared} decisions were the same when the data ended earlier, at ${cuts.length} times.\n`
    : [
        'Look-ahead: decisions change when the data end earlier, so they know what had not happened yet.',
        ...findings.map(
          ({ cutMs, whole, cut }) =>
            `  data until ${new Date(cutMs).toISOString()}: ${cut ?? 'nothing'}; with all data: ${whole ?? 'nothing'}`,
        ),
        '',
      ].join('\n');
