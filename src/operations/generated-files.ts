/** Every file of the repository that is made from the code, in whole or between markers. */
import { renderDashboard } from './dashboard.js';
import { renderRules } from './slo.js';
import { type GeneratedFile, STRATEGY_PAGES } from './strategy-pages.js';
import { renderDocument } from './tables.js';

export const GENERATED_FILES: readonly GeneratedFile[] = [
  { path: 'RUNBOOK.md', render: before => renderDocument(before) },
  { path: 'SLO.md', render: before => renderDocument(before) },
  { path: 'config/alerts/btcbot.rules.yml', render: renderRules },
  { path: 'config/grafana/btcbot.json', render: renderDashboard },
  ...STRATEGY_PAGES,
];
