import { KEY_ROTATION_WITHIN_MS } from '../domain/key-rotation.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, noPositionals } from './books.js';
import { askBot, socketOf } from './control-client.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

/** The bot gives up by itself before this. */
const ANSWER_WITHIN_MS = KEY_ROTATION_WITHIN_MS + 5_000;

export const verb: Verb = {
  name: 'rotate-key',
  usage: `rotate-key ${BOOKS_USAGE}`,
  about: `Makes the running bot read its key again from BTCTURK_API_KEY_FILE and BTCTURK_API_SECRET_FILE, or from .env.live.

Every worker that signs proves the new key by a signed read of its own; only when all have is the old one let go. A key
that is refused changes nothing: the bot goes on with the old one. No key travels through this command. JSON: { ok,
message }. Exit codes: 0 the new key is in use, 2 refused, or no bot answers.`,
  options: { ...BOOKS_OPTIONS },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const { ok, message } = await askBot(socketOf(values, io), { type: 'rotate-key' }, ANSWER_WITHIN_MS);
    if (values.json === true) io.out(json({ ok, message }));
    else (ok ? io.out : io.err)(`${message}\n`);
    return ok ? 0 : 2;
  },
};
