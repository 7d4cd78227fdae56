import { wallMs } from '../runtime/clock.js';
import { renderProblem } from '../runtime/config.js';
import { redactFacts, redactorOf } from '../runtime/secrets.js';
import { noPositionals } from './books.js';
import {
  backupCheck,
  botChecks,
  type Check,
  checksText,
  diskChecks,
  drillCheck,
  isRunningBot,
  ledgerCheck,
  objectiveChecks,
  type Verdict,
  venueChecks,
} from './checks.js';
import { hostChecks } from './host-checks.js';
import { loadForCli } from './settings.js';
import { startChecks } from './start-checks.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'doctor',
  usage: 'doctor [--config FILE] [--json]',
  about: `Examines the configuration, the disk, the ledger, the strategies, the venue and the key, as the bot would use them.

Nothing is written to the venue. Exit codes: 0 healthy, 1 something should be looked at, 2 the bot would refuse to
start, or cannot reach what it needs. JSON: { verdict, checks: [{ name, verdict, detail }] }.`,
  options: {},
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const checks = await examine(values, io);
    const verdict = worst(checks);
    io.out(values.json === true ? json({ verdict, checks }) : checksText(checks));
    return EXIT_CODES[verdict];
  },
};

const EXIT_CODES: Readonly<Record<Verdict, number>> = { pass: 0, warn: 1, refused: 2 };

export const worst = (checks: readonly Check[]): Verdict =>
  checks.some(check => check.verdict === 'refused')
    ? 'refused'
    : checks.some(check => check.verdict === 'warn')
      ? 'warn'
      : 'pass';

const examine = async (
  values: Parameters<Verb['run']>[0]['values'],
  io: Parameters<Verb['run']>[1],
): Promise<readonly Check[]> => {
  const loaded = loadForCli(values, io);
  if (!loaded.ok)
    return loaded.problems.map(problem => ({
      name: 'configuration',
      verdict: 'refused',
      detail: renderProblem(problem),
    }));
  const { settings, credentials, requirements } = loaded;
  const key = requirements.find(({ name }) => name === 'API key');
  const bot = await botChecks(settings);
  const checks: readonly Check[] = [
    {
      name: 'configuration',
      verdict: 'pass',
      detail: `${settings.mode}, ${settings.symbols.join(', ')}, strategy ${settings.strategy}`,
    },
    ...(settings.venue === 'paper' || credentials === null || key === undefined
      ? []
      : [{ name: 'API key', verdict: key.met ? 'pass' : 'warn', detail: key.detail } as const]),
    drillCheck(settings),
    ...diskChecks(settings),
    ledgerCheck(settings),
    backupCheck(settings, wallMs()),
    ...objectiveChecks(settings, wallMs()),
    ...bot,
    ...(await startChecks(settings, bot.some(isRunningBot))),
    ...(await hostChecks(settings)),
    ...(await venueChecks(settings, credentials)),
  ];
  return redactFacts(redactorOf(credentials), checks) as readonly Check[];
};
