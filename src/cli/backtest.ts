/** `btcbot backtest`: what a strategy would have done on a recording or on candles. */
import { writeFileSync } from 'node:fs';
import { RecordingError } from '../exchange/recording.js';
import { LedgerRefused } from '../messages/ledger-refusal.js';
import { runCandles } from '../research/candle-run.js';
import { CandleError, candlesUntil, readCandles } from '../research/candles.js';
import { runExact } from '../research/exact-run.js';
import { FILL_MODELS, type FillModel } from '../research/fast-market.js';
import { runFast } from '../research/fast-run.js';
import { checkLookahead, type LookaheadResult } from '../research/lookahead.js';
import { makeReport } from '../research/report.js';
import { reportHtml } from '../research/report-html.js';
import { reportText } from '../research/report-text.js';
import type { RunResult } from '../research/run-result.js';
import { StudyRefused, studyParameters, studySettings, tryRatesFor, writeLedger } from '../research/study.js';
import { tapeUntil } from '../research/tape.js';
import { readTape, writeTapeFile } from '../research/tape-file.js';
import { StrategyModuleError } from '../runtime/strategy-module.js';
import { loadRecording } from '../simulation/load-recording.js';
import { countOption, noPositionals, textOption } from './books.js';
import { CliRefused } from './refused.js';
import {
  configFrom,
  configInputs,
  feeLevelFrom,
  oneOf,
  ratesFrom,
  strategyFrom,
  type Values,
} from './research-options.js';
import { json } from './table.js';
import type { Verb, VerbIo } from './verb.js';

export const verb: Verb = {
  name: 'backtest',
  usage:
    'backtest (--recording PATH | --candles FILE [--symbol S] [--interval 1m]) [--strategy NAME|FILE] [--strategy-config JSON|FILE] [--engine fast|exact] [--fills queue|touch|through|all] [--fee-level 1..8] [--try-rate USDT=48.57] [--html FILE] [--ledger FILE] [--binary FILE] [--check-lookahead] [--seed N] [--config FILE] [--json]',
  about: `Runs a strategy over a recorded market or candles and reports what it would have earned: the same strategy file,
risk gate, order machine and accounting as live, on the limits and balances of a paper run (environment and --config).

--recording PATH   a directory of btcbot record, one of its parts, a file of {"at", "frame"} lines, or a binary tape
--candles FILE     CSV or JSON; freqtrade's JSON as it is (BTC_USDT-1m.json names its market and interval)
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
JSON: the report, with lookahead: { cuts, compared, findings: [] } when it was asked for.`,
  options: {
    recording: { type: 'string' },
    candles: { type: 'string' },
    symbol: { type: 'string' },
    interval: { type: 'string' },
    strategy: { type: 'string' },
    'strategy-config': { type: 'string' },
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
    try {
      return await backtest(values, io);
    } catch (error) {
      if (
        error instanceof RecordingError ||
        error instanceof CandleError ||
        error instanceof StudyRefused ||
        error instanceof LedgerRefused ||
        error instanceof StrategyModuleError
      )
        throw new CliRefused(error.message);
      throw error;
    }
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
  const stage = await stageFor(values, io, fills);
  const run = stage.run(fills === 'all' ? 'queue' : fills);
  const ledger = textOption(values, 'ledger');
  if (ledger !== undefined)
    if (stage.ledger === null) writeLedger(ledger, run);
    else writeFileSync(ledger, stage.ledger, { flag: 'wx' });
  const band = fills === 'all' ? FILL_MODELS.map(model => (model === 'queue' ? run : stage.run(model))) : [];
  const report = makeReport(run, { seed: countOption(values, 'seed') ?? 1, band });
  const page = textOption(values, 'html');
  if (page !== undefined) writeFileSync(page, reportHtml(report));
  const lookahead = values['check-lookahead'] === true ? checkLookahead(run, stage.runUntil, CUTS) : null;
  if (values.json === true) io.out(json(lookahead === null ? report : { ...report, lookahead }));
  else io.out(`${reportText(report)}${lookahead === null ? '' : `\n${lookaheadText(lookahead)}`}`);
  return lookahead !== null && lookahead.findings.length > 0 ? 1 : 0;
};

const stageFor = async (values: Values, io: VerbIo, fills: FillModel | 'all'): Promise<Stage> => {
  const recording = textOption(values, 'recording');
  const candleFile = textOption(values, 'candles');
  if ((recording === undefined) === (candleFile === undefined))
    throw new CliRefused(`either --recording or --candles is needed\nusage: btcbot ${verb.usage}`);
  const engine = oneOf(values, 'engine', ['fast', 'exact'] as const, 'fast');
  if (engine === 'exact' && (fills !== 'queue' || recording === undefined))
    throw new CliRefused(
      '--engine exact runs on a recording and fills as the paper exchange does: leave --fills out',
    );
  const definition = await strategyFrom(textOption(values, 'strategy') ?? io.env.STRATEGY ?? 'observe');
  const config = configFrom(textOption(values, 'strategy-config') ?? io.env.STRATEGY_CONFIG);
  const common = (symbols: readonly string[]) => {
    const settings = studySettings({ definition, config, symbols, inputs: configInputs(values, io) });
    return {
      definition,
      parameters: studyParameters(definition, config),
      settings,
      opening: settings.paper.balances,
      feeLevel: feeLevelFrom(values),
    };
  };
  if (candleFile !== undefined) {
    const candles = readCandles(candleFile, {
      symbol: textOption(values, 'symbol')?.toUpperCase(),
      interval: textOption(values, 'interval'),
    });
    const { symbol, quote } = candles.listing;
    const study = { ...common([symbol]), tryRates: tryRatesFor([quote], ratesFrom(values)) };
    return {
      run: fillModel => runCandles({ ...study, candles, fillModel }),
      runUntil: untilMs =>
        runCandles({
          ...study,
          candles: candlesUntil(candles, untilMs),
          fillModel: fills === 'all' ? 'queue' : fills,
        }),
      ledger: null,
    };
  }
  const path = recording ?? '';
  const tape = await readTape(path);
  const binary = textOption(values, 'binary');
  if (binary !== undefined) writeTapeFile(binary, tape);
  const study = { ...common(tape.listings.map(({ symbol }) => symbol)), tape };
  if (engine === 'exact') {
    const seed = countOption(values, 'seed') ?? 1;
    const played = await loadRecording(path);
    const exact = runExact({ ...study, seed, recording: played });
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
  const tryRates = tryRatesFor(
    tape.listings.map(({ quote }) => quote),
    ratesFrom(values),
  );
  return {
    run: fillModel => runFast({ ...study, fillModel, tryRates }),
    runUntil: untilMs =>
      runFast({
        ...study,
        tape: tapeUntil(tape, untilMs),
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
