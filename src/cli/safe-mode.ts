import type { OperatorCommand } from '../domain/supervisor.js';
import { LIVE_ACKNOWLEDGEMENT } from '../runtime/setting-table.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, textOption } from './books.js';
import { askBot, socketOf } from './control-client.js';
import { CliRefused } from './refused.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'safe-mode',
  usage: `safe-mode on|off [--ack WORDS] [--hold KEY] ${BOOKS_USAGE}`,
  about: `Forces the running bot to observe only, or lets go of that.

on   no order and no cancel leaves any more; it stays so across restarts.
off  needs --ack ${LIVE_ACKNOWLEDGEMENT} and a clean state. Each other hold that waits for an operator is released by
     itself, with --hold and its key as btcbot status shows it. Nothing is armed by this: the mode flags decide.
JSON: { ok, message }. Exit codes: 0 done, 2 refused or no bot answers.`,
  options: { ...BOOKS_OPTIONS, ack: { type: 'string' }, hold: { type: 'string' } },
  async run({ values, positionals }, io) {
    const command = commandOf(positionals, values);
    const answer = await askBot(socketOf(values, io), command);
    if (values.json === true) io.out(json({ ok: answer.ok, message: answer.message }));
    else (answer.ok ? io.out : io.err)(`${answer.message}\n`);
    return answer.ok ? 0 : 2;
  },
};

const commandOf = (
  positionals: readonly string[],
  values: Readonly<Record<string, unknown>>,
): OperatorCommand => {
  const [word, ...more] = positionals;
  if (more.length > 0 || (word !== 'on' && word !== 'off'))
    throw new CliRefused('say on or off: btcbot safe-mode on|off');
  return word === 'on'
    ? { type: 'safe-mode-on', reason: 'btcbot safe-mode on' }
    : {
        type: 'safe-mode-off',
        acknowledgement: textOption(values, 'ack') ?? '',
        key: textOption(values, 'hold') ?? 'operator',
      };
};
