/**
 * Carries alerts out: plain HTTPS, tried again, never waited for. What piles up while a receiver is slow goes out
 * together; beyond a bound the oldest are dropped and counted.
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import type { Alert } from './alerts.js';
import { monoMs } from './clock.js';
import type { Settings } from './settings.js';

const MAX_WAITING = 200;
const MAX_TOGETHER = 20;
/**
 * An alert must be there within 5 s of its event (RTS 6), also when the receiver hangs once: the first attempt ends early, and
 * a receiver that is only slow has longer for the next ones.
 */
const FIRST_ATTEMPT_MS = 2_000;
const MAX_ATTEMPT_MS = 8_000;
const FIRST_PAUSE_MS = 250;
/** Short, because what happens meanwhile waits for its end. */
const MAX_PAUSE_MS = 5_000;
/** What a receiver may ask for with `Retry-After`. */
const MAX_ASKED_PAUSE_MS = 30_000;
/** An outage of the network is what somebody must be told of when it is over. */
const GIVE_UP_AFTER_MS = 900_000;
/** At the end there is no time for patience: what is under way has this long, and is then tried again at this distance. */
const HURRY_AFTER_MS = 200;
const HURRIED_PAUSE_MS = 50;
/** A refusal of what we say, and not of the moment: so many, and the alert is given up. */
const MAX_REFUSALS = 4;
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

/** How a token looks: the number of its bot, and a text. */
const TOKEN_INSTEAD_OF_PATH = /\d{5,}:[A-Za-z0-9_-]{16,}$/;

const readToken = (file: string): string => {
  if (TOKEN_INSTEAD_OF_PATH.test(file))
    throw new Error(
      'it is a token where the path of its file belongs; write the token into a file of its own',
    );
  return readFileSync(file, 'utf8').trim();
};

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
    const token = readToken(tokenFile);
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

/** How long an attempt may take after so many that failed. */
const attemptMs = (failed: number): number => Math.min(MAX_ATTEMPT_MS, FIRST_ATTEMPT_MS * 2 ** failed);
/** How long to wait after so many attempts that failed. */
const pauseMs = (failed: number): number => Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failed - 1));

/** When the next attempt begins, ms after the first one, if so many hang until they are cut off. */
export const delayAfterHanging = (attempts: number): number => {
  let ms = 0;
  for (let failed = 0; failed < attempts; failed++) ms += attemptMs(failed) + pauseMs(failed + 1);
  return ms;
};

interface Refusal {
  readonly why: string;
  /** What the receiver asks for. */
  readonly waitMs: number;
  /** The receiver will say the same again. */
  readonly lasting: boolean;
}

/**
 * Starts delivery. `log` hears of trouble, never of an address.
 * @param giveUpAfterMs how long an alert is tried
 */
export const openDelivery = (
  channels: readonly Channel[],
  log: Log,
  giveUpAfterMs = GIVE_UP_AFTER_MS,
): AlertDelivery => {
  const agent = new Agent({ connect: { timeout: MAX_ATTEMPT_MS }, pipelining: 1, connections: 1 });
  /** Cuts what is under way and every pause short; what follows is quick. */
  const hurry = new AbortController();
  const ending = new AbortController();
  let dropped = 0;
  let delivered = 0;

  const pause = (ms: number): Promise<void> =>
    new Promise(resolve => {
      const cut = hurry.signal.aborted ? ending.signal : hurry.signal;
      const wake = (): void => {
        clearTimeout(timer);
        cut.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, hurry.signal.aborted ? HURRIED_PAUSE_MS : ms);
      cut.addEventListener('abort', wake);
    });

  const lanes = channels.map(channel => {
    let waiting: { readonly alert: Alert; readonly sinceMonoMs: number }[] = [];
    /** How many of them, from the first, are on their way. */
    let together = 0;
    let running: Promise<void> | null = null;

    /** @returns null when it was taken. */
    const attempt = async (body: string, withinMs: number): Promise<Refusal | null> => {
      try {
        const reply = await request(channel.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
          dispatcher: agent,
          signal: AbortSignal.any([
            AbortSignal.timeout(withinMs),
            hurry.signal.aborted ? ending.signal : hurry.signal,
          ]),
        });
        await reply.body.dump();
        const { statusCode } = reply;
        if (statusCode >= 200 && statusCode < 300) return null;
        const after = Number(reply.headers['retry-after']);
        return {
          why: `status ${statusCode}`,
          waitMs: after > 0 ? Math.min(MAX_ASKED_PAUSE_MS, after * 1_000) : 0,
          lasting: statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429,
        };
      } catch (error) {
        return { why: failureOf(error), waitMs: 0, lasting: false };
      }
    };

    const run = async (): Promise<void> => {
      let failed = 0;
      let refusals = 0;
      while (waiting.length > 0 && !ending.signal.aborted) {
        // Whatever has come in since the last attempt goes with it.
        const batch = waiting.slice(0, MAX_TOGETHER);
        together = batch.length;
        const refusal = await attempt(
          JSON.stringify(channel.bodyFor(batch.map(({ alert }) => alert))),
          attemptMs(failed),
        );
        together = 0;
        if (refusal === null) {
          delivered += batch.length;
          waiting = waiting.filter(each => !batch.includes(each));
          failed = 0;
          refusals = 0;
          continue;
        }
        failed += 1;
        refusals = refusal.lasting ? refusals + 1 : 0;
        const since = monoMs() - giveUpAfterMs;
        const lost =
          refusals >= MAX_REFUSALS ? batch : batch.filter(({ sinceMonoMs }) => sinceMonoMs <= since);
        if (lost.length > 0) {
          dropped += lost.length;
          waiting = waiting.filter(each => !lost.includes(each));
          refusals = 0;
          log('alert-not-delivered', { channel: channel.name, alerts: lost.length, why: refusal.why });
        }
        await pause(Math.max(pauseMs(failed), refusal.waitMs));
      }
    };

    return {
      push(alert: Alert): void {
        waiting.push({ alert, sinceMonoMs: monoMs() });
        if (waiting.length > MAX_WAITING) {
          waiting.splice(together, 1);
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
      const impatience = setTimeout(() => hurry.abort(), Math.min(HURRY_AFTER_MS, withinMs / 2));
      await Promise.race([Promise.all(lanes.map(lane => lane.idle())), deadline]);
      clearTimeout(timer);
      clearTimeout(impatience);
      hurry.abort();
      ending.abort();
      await agent.destroy();
    },
  };
};
