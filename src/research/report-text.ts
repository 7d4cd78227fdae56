/** The report as text for a terminal: the numbers a trader looks for, in the order in which freqtrade shows them. */
import { parseDecimal, toNumber } from '../domain/money.js';
import type { Report, StrategyRow, TradeGroup } from './report.js';

type Line = readonly [string, string];

/** Renders a report. Ends with a line feed. */
export const reportText = (report: Report): string => {
  const { run, money, ratios, trades, days, orders, costs, intervals } = report;
  const fall = report.drawdown;
  const sections: readonly (readonly [string, readonly Line[]])[] = [
    [
      `Backtest of ${run.strategy} on ${run.symbols.join(', ')}`,
      [
        ['From, to', `${run.from} .. ${run.to} (${duration(run.spanMs)})`],
        ['Engine, fills', `${run.engine}, ${run.fillModel}; ${run.events} events`],
        ...((run.missingCandles ?? 0) === 0
          ? []
          : [['Missing candles', `${run.missingCandles}, taken for intervals without a trade`] as Line]),
        ...(report.strategies ?? [{ ...run, name: '' }]).map(
          ({ name, parameters }): Line => [
            `Parameters ${name}`.trimEnd(),
            Object.entries(parameters)
              .map(([parameter, value]) => `${parameter}=${value}`)
              .join(' '),
          ],
        ),
        [
          'Lira for one unit',
          Object.entries(run.tryRates)
            .map(([asset, rate]) => `${asset} ${rate}`)
            .join(', '),
        ],
        ...run.stops.map((stop): Line => ['Stopped by', stop]),
      ],
    ],
    [
      'Money (TRY)',
      [
        ['Starting balance', lira(money.startTry)],
        ['Final balance', lira(money.endTry)],
        ['Absolute profit', `${lira(money.profitTry)} (realised ${lira(money.realizedTry)})`],
        ['Total profit', withInterval(percent(money.profitFraction), intervals.profitFraction, percent)],
        ['Total trade volume', lira(money.volumeTry)],
        ['Min, max balance', `${number(money.minTry)}, ${number(money.maxTry)}`],
        ['Fees, tax', `${lira(costs.feesTry)}, ${lira(costs.taxesTry)}`],
        ['Spread paid, captured', `${numberOr(costs.spreadPaidTry)}, ${numberOr(costs.spreadCapturedTry)}`],
        ['Adverse selection (10 s)', numberOr(costs.adverseSelectionTry)],
      ],
    ],
    [
      'Ratios',
      [
        ['CAGR', percentOr(ratios.cagr)],
        ['Sharpe', withInterval(ratio(ratios.sharpe), intervals.sharpe, ratio)],
        ['Sortino', ratio(ratios.sortino)],
        ['Calmar', ratio(ratios.calmar)],
        ['SQN', ratio(ratios.sqn)],
        ['Profit factor', ratio(ratios.profitFactor)],
        ['Expectancy (ratio)', `${ratio(ratios.expectancyTry)} (${ratio(ratios.expectancyRatio)})`],
        ['Deflated Sharpe', `${ratio(ratios.deflatedSharpe)} after ${ratios.trials} trials`],
        ['Made of', `${ratios.periods} periods of ${duration(ratios.periodMs)}`],
      ],
    ],
    [
      'Drawdown',
      [
        [
          'Absolute drawdown (TRY)',
          `${number(fall.amountTry)} (greatest relative ${percent(fall.fraction)})`,
        ],
        ['Drawdown high, low', `${number(fall.peakTry)}, ${number(fall.bottomTry)}`],
        [
          'Start, end, recovered',
          `${fall.peakAt ?? '-'}, ${fall.bottomAt ?? '-'}, ${fall.recoveredAt ?? '-'}`,
        ],
        ['Longest, time below', `${duration(fall.longestMs)}, ${percent(fall.underwater)}`],
        ['Market change', percentOr(report.marketChange.mean)],
      ],
    ],
    [
      'Trades',
      [
        ['Total, daily average', `${trades.all.trades}, ${trades.perDay.toFixed(2)}`],
        [
          'Long, short',
          `${trades.long.trades} (${lira(trades.long.profitTry)}), ${trades.short.trades} (${lira(trades.short.profitTry)})`,
        ],
        [
          'Win, draw, loss',
          `${trades.all.wins}, ${trades.all.draws}, ${trades.all.losses} (${percentOr(trades.all.winRate)} won)`,
        ],
        [
          'Best, worst trade',
          `${trades.bestTry === null ? '-' : lira(trades.bestTry)}, ${trades.worstTry === null ? '-' : lira(trades.worstTry)}`,
        ],
        ['Average stake', trades.meanStakeTry === null ? '-' : number(trades.meanStakeTry)],
        [
          'Duration winners, losers',
          `${durationOr(trades.meanWinnerDurationMs)}, ${durationOr(trades.meanLoserDurationMs)}`,
        ],
        ['Max consecutive wins, losses', `${trades.winStreak}, ${trades.lossStreak}`],
        ['Days win, draw, lose', `${days.wins}, ${days.draws}, ${days.losses}`],
        [
          'Best, worst day',
          `${days.best === null ? '-' : number(days.best.profitTry)}, ${days.worst === null ? '-' : number(days.worst.profitTry)}`,
        ],
        ['Best, worst pair', `${trades.bestPair ?? '-'}, ${trades.worstPair ?? '-'}`],
        ['Open lots at the end', String(trades.openLots)],
      ],
    ],
    [
      'Orders',
      [
        ['Placed, filled, partly', `${orders.placed}, ${orders.filled}, ${orders.partlyFilled}`],
        ['Canceled, rejected', `${orders.canceled}, ${orders.rejected}`],
        [
          'Denied by the gate',
          `${orders.denied} ${Object.entries(orders.denials)
            .map(([code, count]) => `${code} ${count}`)
            .join(', ')}`.trim(),
        ],
        ['Fills, fill rate', `${orders.fills}, ${percentOr(orders.fillRate)}`],
        ...(['maker', 'taker'] as const).map((name): Line => {
          const side = report.liquidity[name];
          const after = Object.entries(side.markoutBps)
            .map(([horizon, bps]) => `${horizon} ${bps === null ? '-' : bps.toFixed(2)}`)
            .join(', ');
          return [
            name === 'maker' ? 'As maker' : 'As taker',
            `${side.fills} fills, volume ${lira(side.volumeTry)}, fees ${lira(side.feesTry)}, markout bps ${after}`,
          ];
        }),
      ],
    ],
  ];
  const width = Math.max(...sections.flatMap(([, lines]) => lines.map(([name]) => name.length)));
  const blocks = sections.map(([title, lines]) =>
    [title, ...lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join('\n'),
  );
  const groups = [
    strategyTable(report.strategies ?? []),
    groupTable('By pair', trades.byPair),
    groupTable('By entry reason', trades.byEntryReason),
    groupTable('By exit reason', trades.byExitReason),
  ];
  const band =
    report.fillModels.length === 0
      ? []
      : [
          [
            'Fill models',
            ...report.fillModels.map(
              row =>
                `  ${row.fillModel.padEnd(8)} ${String(row.fills).padStart(7)} fills  profit ${lira(row.profitTry).padStart(14)}  Sharpe ${ratio(row.sharpe)}`,
            ),
          ].join('\n'),
        ];
  return `${[...blocks, ...groups.filter(text => text !== ''), ...band].join('\n\n')}\n`;
};

/** The columns of the table of strategies, in text and on the page. */
export const STRATEGY_COLUMNS: readonly (readonly [string, (row: StrategyRow) => string])[] = [
  ['Strategy', row => row.name],
  ['of', row => row.kind],
  ['on', row => row.symbols.join(' ')],
  ['profit TRY', row => lira(row.profitTry)],
  ['realised', row => lira(row.realizedTry)],
  ['fees', row => lira(row.feesTry)],
  ['tax', row => lira(row.taxesTry)],
  ['drawdown', row => number(row.drawdownTry)],
  ['orders', row => String(row.orders)],
  ['denied', row => String(row.denied)],
  ['fills', row => String(row.fills)],
  ['trades', row => String(row.trades.trades)],
  ['won', row => percentOr(row.trades.winRate)],
];
/** The first so many are words. */
const WORDS = 3;

const strategyTable = (rows: readonly StrategyRow[]): string => {
  if (rows.length === 0) return '';
  const lines = [STRATEGY_COLUMNS.map(([title]) => title)];
  for (const row of rows) lines.push(STRATEGY_COLUMNS.map(([, cell]) => cell(row)));
  const widths = STRATEGY_COLUMNS.map((_, column) =>
    Math.max(...lines.map(line => (line[column] ?? '').length)),
  );
  const padded = (cell: string, column: number): string =>
    column < WORDS ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return ['By strategy', ...lines.map(line => `  ${line.map(padded).join('  ')}`)].join('\n');
};

const groupTable = (title: string, groups: readonly TradeGroup[]): string =>
  groups.length === 0
    ? ''
    : [
        title,
        ...groups.map(
          each =>
            `  ${each.name.padEnd(20)} ${String(each.trades).padStart(6)} trades  ${lira(each.profitTry).padStart(14)} TRY  mean ${percentOr(each.meanProfitFraction)}  won ${percentOr(each.winRate)}  ${durationOr(each.meanDurationMs)}`,
        ),
      ].join('\n');

const number = (value: number): string => value.toFixed(2);
const numberOr = (value: number | null): string => (value === null ? '-' : number(value));
const lira = (exact: string): string => number(toNumber(parseDecimal(exact)));
const percent = (fraction: number): string => `${(fraction * 100).toFixed(3)} %`;
const percentOr = (fraction: number | null): string => (fraction === null ? '-' : percent(fraction));
const ratio = (value: number | null): string => (value === null ? '-' : value.toFixed(3));
const withInterval = (
  text: string,
  interval: { readonly low: number; readonly high: number } | null,
  show: (value: number) => string,
): string => (interval === null ? text : `${text} (95 %: ${show(interval.low)} .. ${show(interval.high)})`);
const durationOr = (ms: number | null): string => (ms === null ? '-' : duration(ms));
const duration = (ms: number): string => {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
};
