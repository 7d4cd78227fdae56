/**
 * The order of system calls, seen from outside by strace: before the first byte of each POST, the write-ahead log with
 * that intent in it has been synced. Not read from a pragma: counted.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { botFolder, databaseIn, removeFolder } from '../support/bot.js';
import { definePart } from './part.js';
import { botSettings, FAST_PULSE, openVenue } from './venue.js';

export interface SyncResult {
  /** POSTs seen. */
  readonly posts: number;
  /** Of them, those that left after a sync of a log that held their intent. */
  readonly synced: number;
  /** Syncs of the log. */
  readonly syncs: number;
  /** Client order ids of POSTs that left too early. */
  readonly early: readonly string[];
}

export const hasStrace = (): boolean => spawnSync('strace', ['-V']).status === 0;

const CLIENT_ORDER_ID = /bb-[0-9a-f]{8}-[0-9a-z]+-[0-9a-z]+-[0-9a-z]+/g;
const STRACE = [
  ...['-f', '-y', '-qq', '-s', '8192', '-e', 'signal=none'],
  ...['-e', 'trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg'],
];
const DEADLINE_PER_POST_MS = 3_000;

/** Follows a trace line by line. Threads overlap: a call is `unfinished` first and `resumed` later. */
export class SyncTrace {
  posts = 0;
  syncs = 0;
  readonly early: string[] = [];
  /** Intents written into the log since its last sync began. */
  private written = new Set<string>();
  /** Intents that a sync under way covers, by thread. */
  private readonly syncing = new Map<string, Set<string>>();
  private readonly durable = new Set<string>();
  private readonly sent = new Set<string>();

  take(line: string): void {
    const [, thread = '', call = ''] = /^(\d+)\s+(.*)$/s.exec(line) ?? [];
    if (/^(?:fsync|fdatasync)\(\d+<[^>]*-wal>/.test(call)) {
      this.syncing.set(thread, this.written);
      this.written = new Set();
      if (/= 0$/.test(call)) this.endSync(thread);
    } else if (/^<\.\.\. (?:fsync|fdatasync) resumed>.*= 0$/.test(call)) this.endSync(thread);
    else if (/^pwrite64\(\d+<[^>]*-wal>/.test(call))
      for (const id of call.match(CLIENT_ORDER_ID) ?? []) this.written.add(id);
    else if (
      /^(?:write|writev|sendto|sendmsg)\(\d+<(?:socket|TCP)/.test(call) &&
      call.includes('newOrderClientId')
    ) {
      const id = call.match(CLIENT_ORDER_ID)?.[0] ?? '(a POST without a client order id)';
      // A body may leave in several pieces; the first counts.
      if (this.sent.has(id)) return;
      this.sent.add(id);
      this.posts += 1;
      if (!this.durable.has(id)) this.early.push(id);
    }
  }

  private endSync(thread: string): void {
    const covered = this.syncing.get(thread);
    if (covered === undefined) return;
    this.syncing.delete(thread);
    this.syncs += 1;
    for (const id of covered) this.durable.add(id);
  }
}

const BOT = fileURLToPath(new URL('./bot.js', import.meta.url));

/** Traces a bot through so many submits, on a fresh ledger and then again on the same one. */
export const syncsBeforePosts = async (
  submits: number,
  seed: number,
): Promise<{ readonly fresh: SyncResult; readonly reopened: SyncResult }> => {
  const folder = botFolder();
  const venue = await openVenue(seed);
  const { url, wsUrl, apiKey, apiSecret } = venue.exchange;
  const pipe = join(folder, 'trace');
  spawnSync('mkfifo', [pipe]);
  const environment = {
    PATH: process.env.PATH ?? '',
    ...botSettings(databaseIn(folder), FAST_PULSE),
    FAULTS_VENUE: JSON.stringify({ baseUrl: url, graphUrl: url, wsUrl, apiKey, apiSecret }),
  };
  const traced = async (): Promise<SyncResult> => {
    const trace = new SyncTrace();
    const child = spawn('strace', [...STRACE, '-o', pipe, process.execPath, BOT], {
      env: environment,
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const lines = createInterface({ input: createReadStream(pipe) });
    let enough = false;
    const deadline = setTimeout(() => child.kill('SIGKILL'), 60_000 + submits * DEADLINE_PER_POST_MS);
    lines.on('line', line => {
      trace.take(line);
      if (trace.posts < submits || enough) return;
      enough = true;
      // strace hands the signal on to nobody: the tracee is asked through its own process id, the trace's first.
      if (traceePid !== null) process.kill(traceePid, 'SIGINT');
    });
    let traceePid: number | null = null;
    lines.once('line', line => {
      traceePid = Number(/^(\d+)/.exec(line)?.[1] ?? Number.NaN);
    });
    await Promise.all([once(child, 'exit'), once(lines, 'close')]);
    clearTimeout(deadline);
    return {
      posts: trace.posts,
      synced: trace.posts - trace.early.length,
      syncs: trace.syncs,
      early: trace.early,
    };
  };
  try {
    const fresh = await traced();
    const reopened = await traced();
    return { fresh, reopened };
  } finally {
    await venue.exchange.close();
    removeFolder(folder);
  }
};

export const syncs = definePart({
  name: 'syncs',
  title: 'The journal before the bytes',
  about: `strace over the whole process: an fsync or fdatasync of the write-ahead log that holds the intent has returned before
the first byte of its POST is written.`,
  full: { posts: 1_000 },
  small: { posts: 5 },
  missing: () => (hasStrace() ? null : 'strace is absent'),
  run: async (size, { seed }) => {
    const { fresh, reopened } = await syncsBeforePosts(size.posts, seed + 2_000);
    return {
      rows: [
        ['fresh ledger: POSTs behind a sync of their intent', 'all', `${fresh.synced} of ${fresh.posts}`],
        [
          'reopened ledger: POSTs behind a sync of their intent',
          'all',
          `${reopened.synced} of ${reopened.posts}`,
        ],
      ],
      contradictions: [
        ...[...fresh.early, ...reopened.early].map(
          id => `the POST of ${id} left before its intent was synced`,
        ),
        ...[fresh, reopened].flatMap(({ posts }) =>
          posts < size.posts ? [`only ${posts} POSTs were seen`] : [],
        ),
      ],
    };
  },
});
