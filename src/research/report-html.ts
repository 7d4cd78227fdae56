/**
 * The report as one page that needs nothing but itself: the report's JSON, the plotting library and a few lines that
 * draw. What the page shows as numbers it reads from the JSON in it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Report, StrategyRow } from './report.js';
import { reportText, STRATEGY_COLUMNS } from './report-text.js';

/** Renders a report as a page. */
export const reportHtml = (report: Report): string => {
  const find = createRequire(import.meta.url).resolve;
  const library = readFileSync(find('uplot/dist/uPlot.iife.min.js'), 'utf8');
  const style = readFileSync(find('uplot/dist/uPlot.min.css'), 'utf8');
  const title = `${report.run.strategy} on ${report.run.symbols.join(', ')}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Backtest of ${escaped(title)}</title>
<style>${style}
${STYLE}</style>
</head>
<body>
<h1>Backtest of ${escaped(title)}</h1>
<p>${escaped(`${report.run.from} to ${report.run.to}, ${report.run.engine} engine, ${report.run.fillModel} fills`)}</p>
<section id="figures"></section>${strategies(report.strategies ?? [])}
<h2>Equity (TRY)</h2><div class="plot" id="equity"></div>
<h2>Drawdown</h2><div class="plot" id="drawdown"></div>
${report.series.markets.map(({ symbol }, index) => `<h2>${escaped(symbol)}: trades on price</h2><div class="plot" id="price-${index}"></div>\n<h2>${escaped(symbol)}: inventory</h2><div class="plot" id="inventory-${index}"></div>`).join('\n')}
${report.fillModels.length === 0 ? '' : '<h2>Equity under each fill model (TRY)</h2><div class="plot" id="band"></div>'}
<h2>Months</h2><table id="months"></table>
<h2>Everything</h2><pre>${escaped(reportText(report))}</pre>
<script type="application/json" id="report">${embedded(report)}</script>
<script>${library}</script>
<script>${DRAW}</script>
</body>
</html>
`;
};

/** Where there are several: beside the totals. */
const strategies = (rows: readonly StrategyRow[]): string => {
  if (rows.length === 0) return '';
  const line = (tag: 'th' | 'td', cells: readonly string[]): string =>
    `<tr>${cells.map(cell => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  const lines = [
    line(
      'th',
      STRATEGY_COLUMNS.map(([title]) => title),
    ),
    ...rows.map(row =>
      line(
        'td',
        STRATEGY_COLUMNS.map(([, cell]) => cell(row)),
      ),
    ),
  ];
  return `\n<h2>Strategies</h2><table id="strategies">${lines.join('')}</table>`;
};

const escaped = (text: string): string => text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`);

/** JSON inside a script element: nothing in it may end the element. */
const embedded = (report: Report): string => JSON.stringify(report).replaceAll('<', '\\u003c');

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
#figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .6rem; margin: 1rem 0; }
#figures div { border: 1px solid #ddd; border-radius: 6px; padding: .4rem .6rem; }
#figures b { display: block; font-size: 1.05rem; font-variant-numeric: tabular-nums; } #figures span { color: #666; font-size: .8rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } td, th { border: 1px solid #ddd; padding: .2rem .6rem; text-align: right; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 12px; }
`;

/** The page's own script: figures, months and plots, all from the JSON. */
const DRAW = `
'use strict';
const report = JSON.parse(document.getElementById('report').textContent);
const { series, money, ratios } = report;
const figure = (name, label, value) => {
  const box = document.createElement('div');
  const number = document.createElement('b');
  number.dataset.name = name;
  number.dataset.value = String(value);
  number.textContent = value === null ? '-' : typeof value === 'number' ? String(Math.round(value * 1e4) / 1e4) : value.replace(/(\\.\\d\\d)\\d+$/, '$1');
  const words = document.createElement('span');
  words.textContent = label;
  box.append(number, words);
  document.getElementById('figures').append(box);
};
figure('profitTry', 'Profit (TRY)', money.profitTry);
figure('endTry', 'Final balance (TRY)', money.endTry);
figure('profitFraction', 'Profit, of one', money.profitFraction);
figure('maxDrawdown', 'Drawdown, of one', report.drawdown.fraction);
figure('sharpe', 'Sharpe', ratios.sharpe);
figure('sortino', 'Sortino', ratios.sortino);
figure('calmar', 'Calmar', ratios.calmar);
figure('sqn', 'SQN', ratios.sqn);
figure('profitFactor', 'Profit factor', ratios.profitFactor);
figure('trades', 'Trades', report.trades.all.trades);
figure('winRate', 'Won, of one', report.trades.all.winRate);
figure('feesTry', 'Fees (TRY)', report.costs.feesTry);
figure('taxesTry', 'Tax (TRY)', report.costs.taxesTry);
figure('fillRate', 'Fill rate, of one', report.orders.fillRate);
const months = document.getElementById('months');
for (const cells of [['Month', 'Profit (TRY)', 'Profit %'], ...report.days.months.map(row => [row.period, row.profitTry.toFixed(2), (row.profitFraction * 100).toFixed(3)])]) {
  const line = document.createElement('tr');
  for (const text of cells) {
    const cell = document.createElement('td');
    cell.textContent = text;
    line.append(cell);
  }
  months.append(line);
}
const seconds = times => times.map(at => at / 1000);
const width = () => Math.min(980, document.body.clientWidth - 20);
const plots = {};
const plot = (id, times, lines) => {
  const target = document.getElementById(id);
  if (target === null) return;
  plots[id] = new uPlot(
    {
      width: width(),
      height: 260,
      scales: { x: { time: true } },
      series: [{}, ...lines.map(({ label, stroke, fill, points, paths }) => ({ label, stroke, fill, points, paths, width: 1.2 }))],
      axes: [{}, { size: 80 }],
    },
    [seconds(times), ...lines.map(({ values }) => values)],
    target,
  );
};
const COLORS = { touch: '#2a9d8f', queue: '#1d4ed8', through: '#c2410c' };
plot('equity', series.atMs, [{ label: 'Equity', stroke: '#1d4ed8', values: series.equityTry }]);
plot('drawdown', series.atMs, [{ label: 'Below the peak', stroke: '#b91c1c', fill: 'rgba(185,28,28,.15)', values: series.drawdownFraction }]);
const merge = columns => {
  const times = [...new Set(columns.flatMap(({ atMs }) => atMs))].sort((left, right) => left - right);
  const at = new Map(times.map((time, index) => [time, index]));
  return { times, columns: columns.map(({ atMs, values }) => {
    const column = new Array(times.length).fill(null);
    atMs.forEach((time, index) => { column[at.get(time)] = values[index]; });
    return column;
  }) };
};
series.markets.forEach((market, index) => {
  const side = wanted => market.fills.filter(fill => fill.side === wanted);
  const column = fills => ({ atMs: fills.map(fill => fill.atMs), values: fills.map(fill => fill.price) });
  const { times, columns } = merge([{ atMs: market.atMs, values: market.prices }, column(side('buy')), column(side('sell'))]);
  const dots = (label, stroke, values) => ({ label, stroke, values, paths: () => null, points: { show: true, size: 7, stroke, fill: stroke } });
  let last = null;
  const price = columns[0].map(value => { last = value ?? last; return last; });
  plot('price-' + index, times, [{ label: 'Price', stroke: '#555', values: price }, dots('Bought', '#15803d', columns[1]), dots('Sold', '#b91c1c', columns[2])]);
  plot('inventory-' + index, market.atMs, [{ label: 'Inventory', stroke: '#7c3aed', fill: 'rgba(124,58,237,.15)', values: market.inventory }]);
});
if (report.fillModels.length > 0) {
  const { times, columns } = merge(report.fillModels.map(row => ({ atMs: row.atMs, values: row.equityTry })));
  const filled = columns.map(column => { let last = null; return column.map(value => { last = value ?? last; return last; }); });
  plot('band', times, report.fillModels.map((row, index) => ({ label: row.fillModel, stroke: COLORS[row.fillModel], values: filled[index] })));
}
window.plots = plots;
document.body.dataset.drawn = String(Object.keys(plots).length);
`;
