/** Asking a running bot something over its control socket. */
import { connect } from 'node:net';
import { resolve } from 'node:path';
import type { CommandAnswer, OperatorCommand } from '../domain/supervisor.js';
import { controlSocketPath, MAX_LINE_BYTES, toLine } from '../runtime/control-protocol.js';
import { ledgerPath } from './books.js';
import { CliRefused } from './refused.js';
import type { VerbIo } from './verb.js';

/** How long a bot may take to answer; it never waits for a disk or a network to do so. */
const ANSWER_WITHIN_MS = 3_000;

/** No bot answers there; the message says where, and why that may be. */
export class Unreachable extends CliRefused {
  /** True when nothing listens at all; false when something does and cannot be heard: a bot may well run. */
  readonly absent: boolean;

  constructor(message: string, absent = false) {
    super(message);
    this.absent = absent;
  }
}

/** The socket of the bot that the options, the environment or the configuration file name. */
export const socketOf = (values: Readonly<Record<string, unknown>>, io: Pick<VerbIo, 'env'>): string =>
  controlSocketPath(resolve(ledgerPath(values, io.env)));

/**
 * Sends one command and waits for its answer.
 * @throws Unreachable when nobody listens, or nobody answers in time.
 */
export const askBot = (
  path: string,
  command: OperatorCommand,
  withinMs = ANSWER_WITHIN_MS,
): Promise<CommandAnswer> =>
  new Promise((done, fail) => {
    const socket = connect(path);
    let received = '';
    const timer = setTimeout(() => {
      socket.destroy();
      fail(
        new Unreachable(
          `the bot behind ${path} does not answer within ${withinMs} ms: it hangs, or the machine is too busy; fuser ${path.replace(/\.sock$/, '.lock')} finds its process`,
        ),
      );
    }, withinMs);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(toLine({ id: 1, ...command })));
    socket.on('data', (chunk: string) => {
      received += chunk;
      const end = received.indexOf('\n');
      if (end >= 0) finish(() => done(JSON.parse(received.slice(0, end)) as CommandAnswer));
      else if (received.length > MAX_LINE_BYTES)
        finish(() => fail(new Unreachable(`${path} answers too much`)));
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const absent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      const why = absent
        ? 'no bot runs on this data'
        : error.code === 'EACCES'
          ? 'this user may not talk to the bot that runs there'
          : error.message;
      finish(() =>
        fail(new Unreachable(`${why} (${path}); STATE_DB_PATH, --db or --config say which data`, absent)),
      );
    });
    socket.on('close', () => finish(() => fail(new Unreachable(`the bot behind ${path} hung up`))));
  });
