/** What a start would refuse beside the configuration: strategies, the recording, the token of the alerts, a taken port. */
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { channelsOf } from '../runtime/alert-delivery.js';
import type { Settings } from '../runtime/settings.js';
import { findMembers, MembersRefused } from '../runtime/strategy-members.js';
import { isModulePath } from '../runtime/strategy-module.js';
import { openStrategyRecord } from '../runtime/strategy-record.js';
import { findStrategy, STRATEGIES } from '../strategies/catalogue.js';
import type { Check } from './checks.js';

/** @param botRuns whether a bot runs on this data: then the port of /metrics is its own */
export const startChecks = async (settings: Settings, botRuns: boolean): Promise<readonly Check[]> => [
  await strategyCheck(settings),
  ...recordingChecks(settings),
  ...alertChecks(settings),
  ...(botRuns ? [] : await metricsChecks(settings)),
];

/**
 * Built-in strategies with their parameters. A user's own file is only looked for: its code runs where the key is not.
 */
const strategyCheck = async ({ strategies }: Pick<Settings, 'strategies'>): Promise<Check> => {
  const name = 'strategy';
  const problems: string[] = [];
  for (const { strategy } of strategies.filter(each => isModulePath(each.strategy)))
    try {
      accessSync(resolve(process.cwd(), strategy), constants.R_OK);
    } catch (error) {
      problems.push(`STRATEGY=${strategy} cannot be loaded: ${(error as Error).message}`);
    }
  try {
    await findMembers(
      strategies.filter(each => !isModulePath(each.strategy)),
      {
        find: findStrategy,
        names: STRATEGIES.map(each => each.name),
        cwd: process.cwd(),
        record: openStrategyRecord(undefined),
      },
    );
  } catch (error) {
    if (!(error instanceof MembersRefused)) throw error;
    problems.push(error.message);
  }
  return problems.length === 0
    ? { name, verdict: 'pass', detail: strategies.map(each => each.name ?? each.strategy).join(', ') }
    : { name, verdict: 'refused', detail: problems.join('; ') };
};

const recordingChecks = ({ venue, paper }: Pick<Settings, 'venue' | 'paper'>): readonly Check[] => {
  if (venue !== 'paper' || paper.recording === null) return [];
  const name = 'recording';
  try {
    accessSync(paper.recording, constants.R_OK);
    return [{ name, verdict: 'pass', detail: paper.recording }];
  } catch (error) {
    return [{ name, verdict: 'refused', detail: `PAPER_RECORDING: ${(error as Error).message}` }];
  }
};

const alertChecks = ({ alerts }: Pick<Settings, 'alerts'>): readonly Check[] => {
  const name = 'alerts';
  try {
    const channels = channelsOf(alerts).map(each => each.name);
    return [
      { name, verdict: 'pass', detail: channels.length === 0 ? 'nobody is told' : channels.join(', ') },
    ];
  } catch (error) {
    return [{ name, verdict: 'refused', detail: `ALERT_TELEGRAM_TOKEN_FILE: ${(error as Error).message}` }];
  }
};

const metricsChecks = async ({
  observability,
}: Pick<Settings, 'observability'>): Promise<readonly Check[]> => {
  if (!observability.enabled || observability.exporter !== 'prometheus') return [];
  const { prometheusHost: host, prometheusPort: port } = observability;
  const name = 'metrics port';
  const problem = await new Promise<string | null>(done => {
    const server = createServer();
    server.once('error', error => done(error.message));
    server.listen(port, host, () => server.close(() => done(null)));
  });
  return [
    problem === null
      ? { name, verdict: 'pass', detail: `${host}:${port} is free` }
      : { name, verdict: 'refused', detail: `/metrics cannot be served on ${host}:${port}: ${problem}` },
  ];
};
