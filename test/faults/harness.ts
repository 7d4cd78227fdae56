/** What the parts share: a bot with a seam at an exchange whose requests are timed as they arrive. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { askBot } from '#src/cli/control-client.js';
import type { CommandAnswer, OperatorCommand, SupervisorStatus } from '#src/domain/supervisor.js';
import { controlSocketPath } from '#src/runtime/control-protocol.js';
import { LIVE_ACKNOWLEDGEMENT } from '#src/runtime/setting-table.js';
import { botFolder, databaseIn, type LogEvent, type RunningBot, removeFolder } from '../support/bot.js';
import { duplicatesIn, impossibilities, momentOf } from './proof.js';
import {
  type PingSample,
  preciseMs,
  type SeamActor,
  type SeamCommand,
  type SeamEvent,
  type ThreadHeap,
} from './seam.js';
import { finalDifferences } from './submits.js';
import { type OutsideVenue, openVenue } from './venue.js';

/** A request whose head the exchange has read. */
export interface ArrivedRequest {
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
}

const ORDER_PATH = /^\/api\/v1\/order(\?|$)/;
export const isWrite = ({ method, path }: ArrivedRequest): boolean =>
  ORDER_PATH.test(path) && (method === 'POST' || method === 'DELETE');

/** Notes every request at this address; Node publishes each as soon as its head has been parsed. */
export const watchRequests = (port: number): { readonly seen: ArrivedRequest[]; stop(): void } => {
  const seen: ArrivedRequest[] = [];
  const onRequest = (message: unknown): void => {
    const { request, server } = message as { readonly request: IncomingMessage; readonly server: Server };
    if ((server.address() as AddressInfo | null)?.port !== port) return;
    seen.push({ atMs: preciseMs(), method: request.method ?? '', path: request.url ?? '' });
  };
  subscribe('http.server.request.start', onRequest);
  return { seen, stop: () => void unsubscribe('http.server.request.start', onRequest) };
};

const POLL_MS = 10;
/** Ten times what a busy machine needs; only a defect waits so long. */
export const PATIENCE_MS = 60_000;

/** One exchange, one folder, one bot after the other. */
export class Stage {
  readonly venue: OutsideVenue;
  readonly database: string;
  readonly requests: ArrivedRequest[];
  /** Removed at the end; null when it belongs to somebody else. */
  private readonly ownFolder: string | null;
  private readonly stopWatching: () => void;
  private current: RunningBot | null = null;

  private constructor(venue: OutsideVenue, folder: string | null) {
    this.venue = venue;
    this.ownFolder = folder === null ? botFolder() : null;
    this.database = databaseIn(folder ?? this.ownFolder ?? '');
    const watch = watchRequests(Number(new URL(venue.exchange.url).port));
    this.requests = watch.seen;
    this.stopWatching = watch.stop;
  }

  /**
   * @param folder where the bot's files go, which stays; one of its own unless given
   * @param symbols the pairs with a busy market
   */
  static async open(seed: number, folder: string | null = null, symbols?: readonly string[]): Promise<Stage> {
    return new Stage(await openVenue(seed, symbols), folder);
  }

  get bot(): RunningBot {
    if (this.current === null) throw new Error('no bot was started');
    return this.current;
  }

  start(settings: Readonly<Record<string, string>> = {}): RunningBot {
    this.current = this.venue.startSeamed(this.database, settings);
    return this.current;
  }

  async close(): Promise<void> {
    this.current?.kill('SIGKILL');
    await this.current?.ended;
    this.stopWatching();
    await this.venue.exchange.close();
    if (this.ownFolder !== null) removeFolder(this.ownFolder);
  }

  ask(command: OperatorCommand, withinMs?: number): Promise<CommandAnswer> {
    return askBot(controlSocketPath(this.database), command, withinMs);
  }

  async status(): Promise<SupervisorStatus> {
    const { status } = await this.ask({ type: 'status' }, PATIENCE_MS);
    if (status === undefined) throw new Error('the bot answers without a status');
    return status;
  }

  writes(fromMs = 0): readonly ArrivedRequest[] {
    // From the end: the list is long, and what is asked for is new.
    let first = this.requests.length;
    while (first > 0 && (this.requests[first - 1]?.atMs ?? 0) > fromMs) first -= 1;
    return this.requests.slice(first).filter(isWrite);
  }

  /** Waits for something outside the log. @throws when it does not come about, or the bot ends first */
  async until(
    what: string,
    condition: () => boolean | Promise<boolean>,
    withinMs = PATIENCE_MS,
  ): Promise<void> {
    const deadline = performance.now() + withinMs;
    let ended = false;
    void this.current?.ended.then(() => {
      ended = true;
    });
    while (!(await condition())) {
      if (ended)
        throw new Error(`the bot ended before ${what}: ${this.bot.stderr() || '(nothing on stderr)'}`);
      if (performance.now() > deadline)
        throw new Error(`${what}: not within ${withinMs} ms; ${this.lastWords()}`);
      await pause(POLL_MS);
    }
  }

  private lastWords(): string {
    return this.bot.events
      .filter(line => line.level === 'warn' || line.level === 'error')
      .slice(-5)
      .map(line => JSON.stringify(line))
      .join('\n');
  }

  /** The first line from this index on that fits. */
  async heard(
    event: string,
    fromIndex: number,
    fits: (line: LogEvent) => boolean = () => true,
  ): Promise<LogEvent> {
    let found: LogEvent | undefined;
    await this.until(`log line ${event}`, () => {
      const { events } = this.bot;
      for (let index = fromIndex; index < events.length; index++) {
        const line = events[index] as LogEvent;
        if (line.event !== event || !fits(line)) continue;
        found = line;
        return true;
      }
      return false;
    });
    return found as LogEvent;
  }

  /**
   * Waits until the bot has sent so many orders from now on.
   * @param late keys of latched holds that the test brought about and that may fall only now: released
   */
  async trading(orders = 2, late: readonly string[] = []): Promise<void> {
    const fromMs = preciseMs();
    await this.until('orders at the exchange', async () => {
      if (this.writes(fromMs).filter(({ method }) => method === 'POST').length >= orders) return true;
      for (const key of late) await this.off(key);
      return false;
    });
  }

  /**
   * Lets go of safe mode, or of another latched hold, as soon as the state is clean.
   * @param first keys of other latched holds that the test itself brought about, released before it
   */
  async release(first: readonly string[] = [], key = 'operator'): Promise<void> {
    await this.until(`the release of ${key}`, async () => {
      for (const other of first) await this.off(other);
      return this.off(key);
    });
  }

  /** @returns whether the hold was there and could be released */
  async off(key: string): Promise<boolean> {
    const { ok } = await this.ask(
      { type: 'safe-mode-off', acknowledgement: LIVE_ACKNOWLEDGEMENT, key },
      PATIENCE_MS,
    );
    return ok;
  }

  /** Gives a command to one of the bot's threads; resolves when the thread begins to carry it out. */
  async command(command: SeamCommand): Promise<SeamEvent & { readonly type: 'begun' | 'done' }> {
    const begun = this.told('begun', command);
    this.bot.channel.send(command);
    return begun;
  }

  /** The next word of this kind about a command. */
  told(
    type: 'begun' | 'done',
    { to, act }: SeamCommand,
  ): Promise<SeamEvent & { readonly type: 'begun' | 'done' }> {
    const { channel } = this.bot;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        channel.off('message', onMessage);
        reject(new Error(`no ${type} of ${act} by ${to}`));
      }, PATIENCE_MS);
      const onMessage = (message: unknown): void => {
        const event = message as SeamEvent;
        if (event.type !== type || event.actor !== to || event.act !== act) return;
        clearTimeout(timer);
        channel.off('message', onMessage);
        resolve(event);
      };
      channel.on('message', onMessage);
    });
  }

  startPings(): void {
    this.bot.channel.send({ to: 'supervisor', act: 'ping' } satisfies SeamCommand);
  }

  /** The timed messages since the last report. */
  pings(): Promise<readonly PingSample[]> {
    const { channel } = this.bot;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        channel.off('message', onMessage);
        reject(new Error('no report of timed messages'));
      }, PATIENCE_MS);
      const onMessage = (message: unknown): void => {
        const event = message as SeamEvent;
        if (event.type !== 'pings') return;
        clearTimeout(timer);
        channel.off('message', onMessage);
        resolve(event.samples);
      };
      channel.on('message', onMessage);
      channel.send({ to: 'supervisor', act: 'ping-report' } satisfies SeamCommand);
    });
  }

  /** The bot's threads that are up, without the one that stands in for the exchange. */
  async threads(): Promise<readonly SeamActor[]> {
    const { workers } = await this.status();
    const up = Object.entries(workers).filter(
      ([actor, { status }]) => status === 'up' && actor !== 'paper-exchange',
    );
    return ['supervisor', ...up.map(([actor]) => actor as SeamActor)];
  }

  /** The memory of one of the bot's threads; `collected`: after its garbage is collected. */
  async heapOf(actor: SeamActor, collected = false): Promise<ThreadHeap> {
    const { channel } = this.bot;
    const told = Promise.withResolvers<ThreadHeap>();
    const onMessage = (message: unknown): void => {
      const event = message as SeamEvent;
      if (event.type === 'heap' && event.actor === actor) told.resolve(event.heap);
    };
    channel.on('message', onMessage);
    try {
      await this.command({ to: actor, act: 'heap', collected });
      return await told.promise;
    } finally {
      channel.off('message', onMessage);
    }
  }

  /** Stops the bot in order and holds its ledger against the exchange, to the last digit. */
  async finish(): Promise<string[]> {
    this.bot.kill('SIGTERM');
    const end = await this.bot.ended;
    const { differences } = await finalDifferences(this.venue, this.database);
    return [
      ...(end.code === 0 ? [] : [`the bot ended with ${end.code ?? end.signal}: ${this.bot.stderr()}`]),
      ...differences,
    ];
  }

  /** What may never be, with the bot running. */
  contradictions(): string[] {
    const moment = momentOf(this.venue.exchange.account());
    return impossibilities(this.database, moment, moment);
  }

  duplicates(): string[] {
    return duplicatesIn(momentOf(this.venue.exchange.account()));
  }
}

/** When a log line was written, Unix ms. */
export const timeOf = (line: LogEvent): number => Date.parse(String(line.time));
