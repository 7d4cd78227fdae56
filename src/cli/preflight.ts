import { renderProblem } from '../runtime/config.js';
import { redactFacts, redactorOf } from '../runtime/secrets.js';
import { noPositionals } from './books.js';
import {
  botChecks,
  type Check,
  checksText,
  diskChecks,
  drillCheck,
  ledgerCheck,
  venueChecks,
} from './checks.js';
import { loadForCli } from './settings.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'preflight',
  usage: 'preflight [--config FILE] [--json]',
  about: `Prints every condition of live trading with pass or fail, under the configuration the bot would start with.

It sends nothing but reads, one of them signed with the real key. Exit codes: 0 the bot would be armed, 1 it would not,
2 the configuration is refused. JSON: { armed, checks: [{ name, verdict, detail }] }.`,
  options: {},
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const loaded = loadForCli(values, io);
    if (!loaded.ok) {
      for (const problem of loaded.problems) io.err(`btcbot preflight: ${renderProblem(problem)}\n`);
      return 2;
    }
    const { settings, credentials, requirements } = loaded;
    const found: readonly Check[] = [
      {
        name: 'VENUE',
        verdict: settings.venue === 'btcturk' ? 'pass' : 'refused',
        detail: settings.venue === 'btcturk' ? 'btcturk' : 'VENUE is paper: nothing is ever live there',
      },
      ...requirements.map(
        ({ name, met, detail }): Check => ({ name, verdict: met ? 'pass' : 'refused', detail }),
      ),
      drillCheck(settings),
      ...diskChecks(settings),
      ledgerCheck(settings),
      // A latch does not keep doctor's patient from being well, but it keeps the bot from trading.
      ...(await botChecks(settings)).map(
        (check): Check =>
          check.name === 'latches' && check.verdict === 'warn' ? { ...check, verdict: 'refused' } : check,
      ),
      ...(await venueChecks(settings, credentials)),
    ];
    const checks = redactFacts(redactorOf(credentials), found) as readonly Check[];
    const armed = checks.every(check => check.verdict !== 'refused');
    if (values.json === true) io.out(json({ armed, checks }));
    else
      io.out(`${checksText(checks)}\n${armed ? 'the bot would be armed' : 'the bot would not be armed'}\n`);
    return armed ? 0 : 1;
  },
};
