/** The bot of a canary run: a process of its own, watched through its log, stopped at its first warning. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseJsonObject } from '../runtime/setting-kinds.js';
import { CANARY_DONE, CANARY_STOPPED } from '../strategies/canary.js';

const BOT = fileURLToPath(new URL('../supervisor.js', import.meta.url));
/** Warnings kept of one run; the first is what matters. */
const WARNINGS_MOST = 50;
const SEVERE: ReadonlySet<string> = new Set(['warn', 'error', 'fatal']);

export interface CanaryWarning {
  readonly atMs: number;
  readonly event: string;
  readonly detail: string;
}

/** What the bot's log and its end said. */
export interface CanaryRun {
  /** It reached the state in which orders may be sent. */
  readonly wasLive: boolean;
  /** The strategy came to the end of its plan. */
  readonly finished: boolean;
  readonly warnings: readonly CanaryWarning[];
  readonly exitCode: number | null;
  readonly stderr: string;
}

interface Line {
  readonly event: string;
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const readLine = (text: string): Line | null => {
  const { event, level, ...fields } = parseJsonObject(text) ?? {};
  return typeof event === 'string' && typeof level === 'string' ? { event, level, fields } : null;
};

/**
 * Runs the bot once with `args` beside its configuration, and returns when its process has ended.
 * @param signal stops it early
 * @param giveUpMs after this it is killed: the bot ends by itself well before
 */
export const runCanaryBot = async (options: {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly giveUpMs: number;
  readonly nowMs: () => number;
}): Promise<CanaryRun> => {
  const { args, env, signal, giveUpMs, nowMs } = options;
  // A group of its own: the terminal's Ctrl-C reaches it through us, once. The channel carries nothing: when it closes, the
  // bot knows that nobody watches it any more, and stops.
  const child = spawn(process.execPath, [BOT, ...args], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const warnings: CanaryWarning[] = [];
  let wasLive = false;
  let finished = false;
  let stopping = false;
  let stderr = '';

  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    child.kill('SIGTERM');
  };
  const warn = (event: string, detail: string): void => {
    if (warnings.length < WARNINGS_MOST) warnings.push({ atMs: nowMs(), event, detail });
    stop();
  };
  const onLine = (text: string): void => {
    const line = readLine(text);
    if (line === null) return;
    if (line.event === 'trading-state-changed' && line.fields.to === 'live') wasLive = true;
    const note = line.event === 'strategy-note' ? String(line.fields.text) : '';
    if (note === CANARY_DONE) {
      finished = true;
      stop();
    } else if (note.startsWith(CANARY_STOPPED)) warn(line.event, note);
    else if (SEVERE.has(line.level)) warn(line.event, detailOf(line.fields));
  };
  const onAbort = (): void => warn('interrupted', 'the operator stopped it');

  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', onLine);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const giveUp = setTimeout(() => {
    warn('gave-up', `the bot did not end within ${giveUpMs} ms`);
    child.kill('SIGKILL');
  }, giveUpMs);
  try {
    const [[exitCode]] = await Promise.all([once(child, 'close'), once(lines, 'close')]);
    return { wasLive, finished, warnings, exitCode: exitCode as number | null, stderr: stderr.trim() };
  } finally {
    clearTimeout(giveUp);
    signal.removeEventListener('abort', onAbort);
  }
};

/** The fields of a log line that say what happened. */
const detailOf = (fields: Readonly<Record<string, unknown>>): string => {
  const { time, actor, id, cause, ...rest } = fields;
  return `${String(actor)}: ${JSON.stringify(rest)}`.slice(0, 1_000);
};
