import { renderProblem } from '../runtime/config.js';
import { armingChecks, isArmed } from './arming.js';
import { noPositionals } from './books.js';
import { checksText } from './checks.js';
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
    const checks = await armingChecks(loaded);
    const armed = isArmed(checks);
    if (values.json === true) io.out(json({ armed, checks }));
    else
      io.out(`${checksText(checks)}\n${armed ? 'the bot would be armed' : 'the bot would not be armed'}\n`);
    return armed ? 0 : 1;
  },
};
