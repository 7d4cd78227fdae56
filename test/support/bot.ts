import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** One line of the bot's log. */
export interface LogEvent {
  readonly event: string;
  readonly actor: string;
  readonly [field: string]: unknown;
}

export interface BotEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A bot running as users run it: a process of its own, watched through its log. */
export interface RunningBot {
  readonly pid: number;
  readonly events: readonly LogEvent[];
  readonly stderr: () => string;
  /** Resolves with the first line, past or future, that fits; rejects when the bot ends without one. */
  until(fits: (line: LogEvent) => boolean): Promise<LogEvent>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<BotEnd>;
  /** Node's channel to the process, where one was asked for. */
  readonly channel: Pick<ChildProcess, 'send' | 'on' | 'off'>;
}

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** A folder of its own for one bot's database and files. */
export const botFolder = (): string => mkdtempSync(join(tmpdir(), 'btcbot-'));
export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true });
export const databaseIn = (folder: string): string => join(folder, 'btcbot.sqlite');

/** Settings of the surrounding shell must not reach a test's bot. */
const cleanEnvironment = (): Record<string, string | undefined> => {
  const kept: Record<string, string | undefined> = {};
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'LANG']) kept[name] = process.env[name];
  return kept;
};

/** Starts `dist/supervisor.js`, or another entry, with these settings and nothing else. */
export const startBot = (
  settings: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  entry = join(ROOT, 'dist', 'supervisor.js'),
  withChannel = false,
): RunningBot => {
  const child: ChildProcess = spawn(process.execPath, [entry, ...args], {
    cwd: ROOT,
    env: { ...cleanEnvironment(), ...settings },
    stdio: ['ignore', 'pipe', 'pipe', ...(withChannel ? (['ipc'] as const) : [])],
  });
  const events: LogEvent[] = [];
  const waiting = new Set<(line: LogEvent | null) => void>();
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  lines.on('line', text => {
    const line = JSON.parse(text) as LogEvent;
    events.push(line);
    for (const tell of waiting) tell(line);
  });
  const ended = Promise.all([once(child, 'exit'), once(lines, 'close')]).then(([[code, signal]]): BotEnd => {
    for (const tell of waiting) tell(null);
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  return {
    pid: child.pid ?? -1,
    events,
    stderr: () => errors,
    until: fits =>
      new Promise((resolve, reject) => {
        const before = events.find(fits);
        if (before !== undefined) {
          resolve(before);
          return;
        }
        const tell = (line: LogEvent | null): void => {
          if (line !== null && !fits(line)) return;
          waiting.delete(tell);
          if (line !== null) resolve(line);
          else reject(new Error(`the bot ended first; stderr: ${errors || '(nothing)'}`));
        };
        waiting.add(tell);
      }),
    kill: signal => child.kill(signal),
    ended,
    channel: child,
  };
};

/** Whether a log line tells of this event. */
export const tells =
  (event: string): ((line: LogEvent) => boolean) =>
  line =>
    line.event === event;

export interface CliEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one verb of the command line to its end. */
export const runVerb = async (
  args: readonly string[],
  settings: Readonly<Record<string, string>>,
): Promise<CliEnd> => {
  const child = spawn(process.execPath, [join(ROOT, 'dist', 'cli.js'), ...args], {
    cwd: ROOT,
    env: { ...cleanEnvironment(), ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
};

/** As {@link runVerb} with `--json`, parsed. */
export const askVerb = async <T>(verb: string, settings: Readonly<Record<string, string>>): Promise<T> => {
  const { code, stdout, stderr } = await runVerb([verb, '--json'], settings);
  if (code !== 0) throw new Error(`btcbot ${verb} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
};

/** What the embedded exchange says of the account, from the statement it leaves at the end. */
export interface ClosingStatement {
  readonly balances: readonly {
    readonly asset: string;
    readonly total: string;
    readonly free: string;
    readonly locked: string;
  }[];
  readonly orders: readonly {
    readonly orderId: number;
    readonly clientOrderId: string;
    readonly filled: string;
    readonly status: string;
    readonly acceptedAt: string;
  }[];
  readonly trades: readonly {
    readonly tradeId: string;
    readonly side: 'buy' | 'sell';
    readonly price: string;
    readonly quantity: string;
    readonly fee: string;
    readonly tax: string;
  }[];
}

export const closingStatement = (folder: string): ClosingStatement => {
  const name = readdirSync(folder).find(file => file.endsWith('.paper-account.json'));
  if (name === undefined) throw new Error(`no closing statement in ${folder}`);
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as ClosingStatement;
};
