/**
 * Moments at which a bot under test kills itself with SIGKILL, told apart from outside the code under test: by what
 * undici publishes about each request, and by the statements that reach SQLite.
 */
import { subscribe } from 'node:diagnostics_channel';
import { Worker } from 'node:worker_threads';
import SqliteDatabase, { type Database } from 'better-sqlite3';
import type { ActorName } from '#src/domain/step.js';

interface CrashPoint {
  readonly actor: ActorName;
  /** What the bot has done and has not done when it dies. */
  readonly about: string;
  readonly arm: (crash: () => void) => void;
}

interface Published {
  readonly request: { readonly method: string; readonly path: string };
  readonly headers?: string;
  readonly socket?: { write(text: string): boolean };
}

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

const onRequest = (
  channel: string,
  method: string,
  path: string,
  act: (published: Published) => void,
): void =>
  subscribe(channel, message => {
    const published = message as Published;
    if (published.request.method === method && published.request.path.startsWith(path)) act(published);
  });

const ORDER_PATH = '/api/v1/order';
/** A private read. */
const READ_PATH = '/api/v1/';

/** Tells of each transaction's end whether an intent is in it. */
const onCommit = (before: (hasIntent: boolean) => void, after: (hasIntent: boolean) => void): void => {
  const prototype = SqliteDatabase.prototype as Pick<Database, 'prepare'>;
  const { prepare } = prototype;
  let hasIntent = false;
  prototype.prepare = function (this: Database, source: string) {
    const statement = prepare.call(this, source) as SqliteDatabase.Statement<unknown[]>;
    if (/^\s*INSERT INTO orders\b/.test(source)) {
      const run = statement.run.bind(statement) as (...values: unknown[]) => SqliteDatabase.RunResult;
      statement.run = (...values: unknown[]) => {
        hasIntent = true;
        return run(...values);
      };
    }
    if (source === 'COMMIT') {
      const run = statement.run.bind(statement) as () => SqliteDatabase.RunResult;
      statement.run = () => {
        const had = hasIntent;
        hasIntent = false;
        before(had);
        const result = run();
        after(had);
        return result;
      };
    }
    return statement;
  } as Database['prepare'];
};

/** Lets another thread kill the process while this one is inside SQLite. */
const startKiller = (): (() => void) => {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const killer = new Worker(
    `const { workerData } = require('node:worker_threads');
     Atomics.wait(workerData, 0, 0);
     process.kill(process.pid, 'SIGKILL');`,
    { eval: true, workerData: flag, execArgv: [] },
  );
  killer.unref();
  return () => {
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
  };
};

const onCheckpoint = (before: () => void): void => {
  const prototype = SqliteDatabase.prototype as Pick<Database, 'pragma'>;
  const { pragma } = prototype;
  prototype.pragma = function (this: Database, source: string, options?: SqliteDatabase.PragmaOptions) {
    if (source.startsWith('wal_checkpoint')) before();
    return pragma.call(this, source, options);
  };
};

export const CRASH_POINTS = {
  'before-commit': {
    actor: 'ledger',
    about: 'the intent is written and not committed',
    arm: crash => onCommit(intent => intent && crash(), nothing),
  },
  'inside-commit': {
    actor: 'ledger',
    about: 'the intent is being committed',
    arm: crash => onCommit(intent => intent && crash(), nothing),
  },
  'after-commit': {
    actor: 'ledger',
    about: 'the intent is durable, nobody has been told',
    arm: crash => onCommit(nothing, intent => intent && crash()),
  },
  'before-request': {
    actor: 'execution',
    about: 'the fence has passed, no byte of the POST has left',
    arm: crash => onRequest('undici:client:sendHeaders', 'POST', ORDER_PATH, crash),
  },
  'mid-request': {
    actor: 'execution',
    about: 'half of the POST has left',
    arm: crash =>
      onRequest('undici:client:sendHeaders', 'POST', ORDER_PATH, ({ headers = '', socket }) => {
        socket?.write(headers.slice(0, headers.length / 2));
        crash();
      }),
  },
  'before-response': {
    actor: 'execution',
    about: 'the whole POST has left, no answer has been read',
    arm: crash => onRequest('undici:request:bodySent', 'POST', ORDER_PATH, crash),
  },
  'after-response': {
    actor: 'execution',
    about: 'the answer to the POST has been read, nothing is recorded of it',
    arm: crash => onRequest('undici:request:trailers', 'POST', ORDER_PATH, crash),
  },
  'cancel-sent': {
    actor: 'execution',
    about: 'the DELETE is leaving',
    arm: crash =>
      onRequest('undici:client:sendHeaders', 'DELETE', ORDER_PATH, ({ headers = '', socket }) => {
        socket?.write(`${headers}\r\n`);
        crash();
      }),
  },
  'cancel-queued': {
    actor: 'execution',
    about: 'the cancel is queued at the venue, its end is not confirmed',
    arm: crash => onRequest('undici:request:trailers', 'DELETE', ORDER_PATH, crash),
  },
  checkpoint: {
    actor: 'ledger',
    about: 'the write-ahead log is being copied into the database',
    arm: crash => onCheckpoint(crash),
  },
  'recovery-read': {
    actor: 'reconciliation',
    about: 'the account has been read in part',
    arm: crash => onRequest('undici:request:trailers', 'GET', READ_PATH, crash),
  },
  'recovery-commit': {
    actor: 'ledger',
    about: 'one of the first commits of a start is being made',
    arm: crash => onCommit(crash, nothing),
  },
} as const satisfies Record<string, CrashPoint>;

export type CrashPointName = keyof typeof CRASH_POINTS;

/** Points at which the thread that dies is inside SQLite: another one kills. */
const FROM_ANOTHER_THREAD: readonly string[] = ['inside-commit', 'checkpoint'];

const nothing = (): void => undefined;

/** @param at `point:count`: the process dies when the point is reached for the count-th time. */
export const armCrashPoint = (actor: ActorName, at: string | undefined): void => {
  if (at === undefined) return;
  const [name = '', count = '1'] = at.split(':');
  if (!Object.hasOwn(CRASH_POINTS, name)) throw new Error(`no crash point is called ${name}`);
  const point: CrashPoint = CRASH_POINTS[name as CrashPointName];
  if (point.actor !== actor) return;
  const kill = FROM_ANOTHER_THREAD.includes(name) ? startKiller() : die;
  let left = Number(count);
  point.arm(() => {
    left -= 1;
    if (left === 0) kill();
  });
};
