/** The tables of the documents that are made from the code, as Markdown. */
import { CAUSES, type CauseRule, type ReleaseRule } from '../domain/breaker.js';
import { DENIAL_CODES } from '../domain/order-events.js';
import { HOLD_CAUSES } from '../domain/safety.js';
import { ALERTS } from '../runtime/alerts.js';
import { METRICS } from '../runtime/metric-catalog.js';
import { SETTING_NAMES, SETTINGS, type SettingSpec } from '../runtime/setting-table.js';
import { DENIAL_WORDS } from './denial-words.js';
import { OBJECTIVES } from './slo.js';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
export const table = (titles: readonly string[], rows: readonly (readonly string[])[]): string =>
  [titles, titles.map(() => '---'), ...rows].map(row => `| ${row.map(cell).join(' | ')} |`).join('\n');
export const code = (text: string): string => `\`${text}\``;

const ROLE_WORDS: Readonly<Record<NonNullable<SettingSpec['role']>, string>> = {
  mode: 'malformed counts as the safest value',
  limit: 'live refuses while it is unset',
  secret: 'never in a configuration file',
  place: '',
};

const settingRow = (name: (typeof SETTING_NAMES)[number]): readonly string[] => {
  const spec: SettingSpec = SETTINGS[name];
  const role = spec.role === undefined ? '' : ROLE_WORDS[spec.role];
  return [
    code(name),
    spec.fallback === null ? 'unset' : code(spec.fallback),
    spec.kind.words,
    `${spec.meaning}${role === '' ? '' : `; ${role}`}`,
  ];
};

const FORBIDS: Readonly<Record<CauseRule['level'], string>> = {
  'observe-only': 'orders and cancels',
  'cancel-only': 'new orders',
  paused: 'new orders; cancels as the budget allows',
};
const RELEASES: Readonly<Record<ReleaseRule, string>> = {
  operator: 'the operator: `btcbot safe-mode off --ack I_UNDERSTAND --hold KEY`',
  evidence: 'proof that it has passed',
  probe: 'a quiet trial',
  supervisor: 'the supervisor, when the worker is back',
};

const causeRow = (cause: (typeof HOLD_CAUSES)[number]): readonly string[] => {
  const rule = CAUSES[cause];
  const trial = rule.releasedBy === 'probe' ? ` of ${rule.trialMs / 1_000} s, doubled by each relapse` : '';
  return [
    code(cause),
    rule.threshold,
    rule.detector,
    `${FORBIDS[rule.level]}${rule.perSymbol ? ', on that pair' : ''}`,
    rule.action,
    `${RELEASES[rule.releasedBy]}${trial}`,
    rule.survivesRestart ? 'yes' : 'no',
  ];
};

/** Every generated table by the name of its marker. */
export const TABLES: Readonly<Record<string, () => string>> = {
  settings: () => table(['Setting', 'Default', 'Accepts', 'Meaning'], SETTING_NAMES.map(settingRow)),
  causes: () =>
    table(
      ['Cause', 'Trips at', 'Noticed by', 'Forbids', 'The bot does', 'Ends by', 'Survives a restart'],
      HOLD_CAUSES.map(causeRow),
    ),
  denials: () =>
    table(
      ['Code', 'Means', 'What to do'],
      DENIAL_CODES.map(name => [code(name), DENIAL_WORDS[name].means, DENIAL_WORDS[name].remedy]),
    ),
  metrics: () =>
    table(
      ['Name', 'Kind', 'Says'],
      Object.entries(METRICS).map(([name, spec]) => [code(name), spec.kind, spec.about]),
    ),
  alerts: () =>
    table(
      ['Kind', 'Severity', 'Sent when'],
      Object.entries(ALERTS).map(([kind, { severity, when }]) => [code(kind), severity, when]),
    ),
  objectives: () =>
    table(
      ['Signal', 'Target', 'Warns', 'Pages', 'Runbook'],
      OBJECTIVES.map(({ signal, target, rules }) => {
        const of = (severity: string): string =>
          rules
            .filter(rule => rule.severity === severity)
            .map(rule => `${code(rule.name)}: ${rule.words}`)
            .join('; ');
        return [
          code(signal),
          target,
          of('warn') || '-',
          of('critical') || '-',
          [...new Set(rules.map(rule => rule.runbook))].join(', '),
        ];
      }),
    ),
};

const MARKED = /<!-- generated: ([a-z-]+) -->\n[\s\S]*?<!-- end of \1 -->/g;

/**
 * The document with every marked table made anew.
 * @throws when a marker names a table that does not exist.
 */
export const renderDocument = (
  document: string,
  tables: Readonly<Record<string, () => string>> = TABLES,
): string =>
  document.replace(MARKED, (_whole, name: string) => {
    const make = tables[name];
    if (make === undefined) throw new Error(`there is no table ${name}: ${Object.keys(tables).join(', ')}`);
    return `<!-- generated: ${name} -->\n\n${make()}\n\n<!-- end of ${name} -->`;
  });
