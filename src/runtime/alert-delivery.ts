/**
 * Carries alerts out: plain HTTPS, tried again, never waited for. What piles up while a receiver is slow goes out
 * together; beyond a bound the oldest are dropped and counted.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import type { Alert } from './alerts.js';
import type { Settings } from './settings.js';

const MAX_WAITING = 200;
const ATTEMPTS = 6;
const ATTEMPT_MS = 3_000;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
/** Telegram takes 4,096 characters a message. */
const MAX_TEXT_CHARS = 4_000;

export interface AlertDelivery {
  /** Queues an alert for every channel; never waits. */
  send(alert: Alert): void;
  readonly dropped: number;
  readonly delivered: number;
  /** Tries what still waits, for at most `withinMs`, and lets go of every connection. */
  close(withinMs: number): Promise<void>;
}

export interface Channel {
  readonly name: 'webhook' | 'telegram';
  readonly url: string;
  bodyFor(alerts: readonly Alert[]): unknown;
}

const textOf = (alerts: readonly Alert[]): string =>
  alerts
    .map(({ atMs, severity, text }) => `${new Date(atMs).toISOString()} [${severity}] ${text}`)
    .join('\n')
    .slice(0, MAX_TEXT_CHARS);

/**
 * The channels the settings name; none when none is set.
 * @throws when the file with the token cannot be read or holds none.
 */
export const channelsOf = (settings: Settings['alerts']): readonly Channel[] => {
  const channels: Channel[] = [];
  if (settings.webhookUrl !== null)
    channels.push({
      name: 'webhook',
      url: settings.webhookUrl,
      // `text` is what chat services show; `alerts` is for programs.
      bodyFor: alerts => ({ text: textOf(alerts), alerts }),
    });
  if (settings.telegram !== null) {
    const { tokenFile, chatId, url } = settings.telegram;
    const token = readFileSync(tokenFile, 'utf8').trim();
    if (!/^[A-Za-z0-9:_-]{8,200}$/.test(token)) throw new Error(`${tokenFile} does not hold a bot token`);
    channels.push({
      name: 'telegram',
      url: `${url}/bot${token}/sendMessage`,
      bodyFor: alerts => ({ chat_id: chatId, text: textOf(alerts), disable_web_page_preview: true }),
    });
  }
  return channels;
};

type Log = (event: string, fields: Readonly<Record<string, unknown>>) => void;

/** A failure by its name or status only: an address may carry a token. */
const failureOf = (error: unknown): string => {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'failed';
};

/** Starts delivery. `log` hears of trouble, never of an address. */
export const openDelivery = (channels: readonly Channel[], log: Log): AlertDelivery => {
  const agent = new Agent({ connect: { timeout: ATTEMPT_MS }, pipelining: 1, connections: 1 });
  const ending = new AbortController();
  let dropped = 0;
  let delivered = 0;

  const pause = (ms: number): Promise<void> =>
    new Promise(resolve => {
      const timer = setTimeout(resolve, ms);
      ending.signal.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });

  const lanes = channels.map(channel => {
    const waiting: Alert[] = [];
    let running: Promise<void> | null = null;

    /** @returns null when it was taken, else why not, and how long the receiver wants us to wait. */
    const attempt = async (body: string): Promise<{ why: string; waitMs: number } | null> => {
      try {
        const reply = await request(channel.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          dispatcher: agent,
          signal: AbortSignal.any([AbortSignal.timeout(ATTEMPT_MS), ending.signal]),
        });
        await reply.body.dump();
        if (reply.statusCode >= 200 && reply.statusCode < 300) return null;
        const after = Number(reply.headers['retry-after']);
        return { why: `status ${reply.statusCode}`, waitMs: after > 0 ? after * 1_000 : 0 };
      } catch (error) {
        return { why: failureOf(error), waitMs: 0 };
      }
    };

    const run = async (): Promise<void> => {
      while (waiting.length > 0 && !ending.signal.aborted) {
        const batch = waiting.splice(0, 20);
        const body = JSON.stringify(channel.bodyFor(batch));
        let refusal = await attempt(body);
        for (let tried = 1; refusal !== null && tried < ATTEMPTS && !ending.signal.aborted; tried++) {
          await pause(Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS * 2 ** (tried - 1), refusal.waitMs)));
          refusal = await attempt(body);
        }
        if (refusal === null) {
          delivered += batch.length;
          continue;
        }
        dropped += batch.length;
        log('alert-not-delivered', { channel: channel.name, alerts: batch.length, why: refusal.why });
      }
    };

    return {
      push(alert: Alert): void {
        waiting.push(alert);
        if (waiting.length > MAX_WAITING) {
          waiting.shift();
          dropped += 1;
        }
        running ??= run().finally(() => {
          running = null;
        });
      },
      idle: (): Promise<void> => running ?? Promise.resolve(),
    };
  });

  return {
    send: alert => {
      for (const lane of lanes) lane.push(alert);
    },
    get dropped() {
      return dropped;
    },
    get delivered() {
      return delivered;
    },
    async close(withinMs) {
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>(resolve => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([Promise.all(lanes.map(lane => lane.idle())), deadline]);
      clearTimeout(timer);
      ending.abort();
      await agent.destroy();
    },
  };
};
