/** Every file of the repository that is made from the code, in whole or between markers. */
import { renderDashboard } from './dashboard.js';
import { renderRules } from './slo.js';
import { renderDocument } from './tables.js';

export interface GeneratedFile {
  /** Relative to the repository. */
  readonly path: string;
  /** What it must hold, given what it holds. */
  render(before: string): string;
}

export const GENERATED_FILES: readonly GeneratedFile[] = [
  { path: 'RUNBOOK.md', render: renderDocument },
  { path: 'SLO.md', render: renderDocument },
  { path: 'config/alerts/btcbot.rules.yml', render: renderRules },
  { path: 'config/grafana/btcbot.json', render: renderDashboard },
];
