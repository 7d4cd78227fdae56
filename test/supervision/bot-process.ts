/** A bot as a child process: its log as events, its signals, its exit. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { askBot } from '#src/cli/control-client.js';
import type { SupervisorStatus } from '#src/domain/supervisor.js';
import { controlSocketPath } from '#src/runtime/control-protocol.js';
import type { FaultPlan } from '../fakes/workers/actor.js';

export interface LogEvent {
  readonly event: string;
  readonly actor: string;
  readonly level: string;
  readonly [field: string]: unknown;
}

export interface BotProcess {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly log: readonly LogEvent[];
  /** Text on stderr so far. */
  errors(): string;
  /** The first event that matches, from now on or before. Fails when the process ends without it. */
  heard(event: string, matches?: (line: LogEvent) => boolean): Promise<LogEvent>;
  signal(name: NodeJS.Signals): void;
  /** What the bot says of itself over its control socket. */
  status(): Promise<SupervisorStatus>;
  exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** The program as it is shipped. */
export const REAL_BOT = fileURLToPath(new URL('../../supervisor.js', import.meta.url));

const folders: string[] = [];
const running = new Set<ChildProcess>();

/** Ends what a failed test left over. */
export const cleanUp = (): void => {
  for (const child of running) child.kill('SIGKILL');
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
};

export const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'btcbot-'));
  folders.push(folder);
  return folder;
};

export const startBot = (options: {
  readonly faults?: FaultPlan;
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly entry?: string;
  readonly runtime?: string;
}): BotProcess => {
  const folder = options.folder ?? newFolder();
  const database = options.env?.STATE_DB_PATH ?? join(folder, 'bot.sqlite');
  const entry = options.entry ?? fileURLToPath(new URL('../fakes/bot.js', import.meta.url));
  const child = spawn(options.runtime ?? process.execPath, [entry], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '',
      VENUE: 'paper',
      STATE_DB_PATH: database,
      LOG_LEVEL: 'debug',
      STRATEGY_CONFIG: JSON.stringify(options.faults ?? {}),
      ...options.env,
    },
  });
  running.add(child);
  const log: LogEvent[] = [];
  const listeners = new Set<() => void>();
  let errors = '';
  let ended = false;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  createInterface({ input: child.stdout! }).on('line', line => {
    log.push(JSON.parse(line) as LogEvent);
    for (const listener of listeners) listener();
  });
  const exited = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    ended = true;
    for (const listener of listeners) listener();
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  return {
    child,
    folder,
    log,
    exited,
    errors: () => errors,
    signal: name => void child.kill(name),
    status: async () => (await askBot(controlSocketPath(database), { type: 'status' })).status!,
    heard: (event, matches = () => true) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = log.find(line => line.event === event && matches(line));
          if (found === undefined && !ended) return;
          listeners.delete(look);
          if (found !== undefined) resolve(found);
          else
            reject(
              new Error(
                `the bot ended without ${event}: ${log.map(line => `${line.actor}/${line.event}`).join(' ')}\n${errors}`,
              ),
            );
        };
        listeners.add(look);
        look();
      }),
  };
};
