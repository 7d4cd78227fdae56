import { BOOKS_OPTIONS, BOOKS_USAGE, noPositionals } from './books.js';
import { askBot, socketOf } from './control-client.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'cancel-all',
  usage: `cancel-all ${BOOKS_USAGE}`,
  about: `Tells the running bot to cancel every order of its own, also under the kill switch.

In safe mode nothing is written, so it is refused: use KILL_SWITCH=true with SAFE_MODE=false and restart.
JSON: { ok, message }. Exit codes: 0 ordered, 2 refused or no bot answers.`,
  options: { ...BOOKS_OPTIONS },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const answer = await askBot(socketOf(values, io), { type: 'cancel-all', reason: 'btcbot cancel-all' });
    if (values.json === true) io.out(json({ ok: answer.ok, message: answer.message }));
    else (answer.ok ? io.out : io.err)(`${answer.message}\n`);
    return answer.ok ? 0 : 2;
  },
};
