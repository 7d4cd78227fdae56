import type { MailboxRule } from '../messages/routes.js';

/** Messages that supersede earlier ones of the same key. */
interface Keyed {
  readonly type: string;
  readonly symbol?: string;
  readonly book?: { readonly symbol: string };
}

/** Waiting messages of one direction of one route, in order of arrival, under the route's rule. */
export interface Mailbox<M> {
  /** Takes a message; the verdict says what the rule made of it. */
  put(message: M): 'kept' | 'superseded' | 'dropped-oldest' | 'refused' | 'over-limit';
  take(): M | undefined;
  readonly size: number;
  /** Messages this mailbox gave up so far (superseded ones are not given up). */
  readonly dropped: number;
}

/** A whole picture, of which nobody wants an older one. */
const isSuperseding = (message: unknown): boolean => {
  const { type } = message as Keyed;
  return type === 'book-updated' || type === 'account-updated';
};

/** A cancel only ever lessens what we have at stake; there are no more of them than orders. */
const isCancel = (message: unknown): boolean => (message as Keyed).type === 'cancel-order';

/** What is for people and asks for nothing. */
const isObservation = (message: unknown): boolean => {
  const { type } = message as Keyed;
  return type === 'log' || type === 'metric';
};

/**
 * Whether a message whose sender has ended is heard all the same: a dead strategy's wish to trade is not, the last words
 * of a thread are.
 */
export const outlivesSender = (rule: MailboxRule, message: unknown): boolean =>
  rule === 'hold' || (rule === 'refuse' && isCancel(message)) || isObservation(message);

const supersessionKey = (message: unknown): string => {
  const keyed = message as Keyed;
  return `${keyed.type}:${keyed.symbol ?? keyed.book?.symbol ?? ''}`;
};

/**
 * A bounded mailbox. `newest` supersedes an older waiting `book-updated` or `account-updated` of the same key whether
 * full or not, since nobody wants an old picture; other messages keep their order, and the oldest go when it is full.
 */
export const createMailbox = <M>(rule: MailboxRule, limit: number): Mailbox<M> => {
  let queue: (M | undefined)[] = [];
  let head = 0;
  let size = 0;
  let dropped = 0;
  const waiting = new Map<string, number>();

  /** Superseded and taken messages leave gaps; without this, gaps could grow while few messages wait. */
  const compact = (): void => {
    if (queue.length < 1_024 || queue.length < 2 * size) return;
    queue = queue.filter(message => message !== undefined);
    head = 0;
    waiting.clear();
    if (rule !== 'newest') return;
    for (const [index, message] of queue.entries())
      if (isSuperseding(message)) waiting.set(supersessionKey(message), index);
  };
  const take = (): M | undefined => {
    while (head < queue.length) {
      const index = head++;
      const message = queue[index];
      if (message === undefined) continue;
      queue[index] = undefined;
      size -= 1;
      if (rule === 'newest' && waiting.get(supersessionKey(message)) === index)
        waiting.delete(supersessionKey(message));
      compact();
      return message;
    }
    queue = [];
    head = 0;
    return undefined;
  };
  const append = (message: M): void => {
    queue.push(message);
    size += 1;
  };

  return {
    put(message) {
      if (rule === 'newest' && isSuperseding(message)) {
        const key = supersessionKey(message);
        const older = waiting.get(key);
        waiting.set(key, queue.length);
        if (older !== undefined && queue[older] !== undefined) {
          queue[older] = undefined;
          append(message);
          size -= 1;
          compact();
          return 'superseded';
        }
        append(message);
        return 'kept';
      }
      if (size < limit) {
        append(message);
        return 'kept';
      }
      if (rule === 'refuse' && isCancel(message)) {
        append(message);
        return 'kept';
      }
      if (rule === 'refuse') {
        dropped += 1;
        return 'refused';
      }
      append(message);
      if (rule === 'hold') return 'over-limit';
      take();
      dropped += 1;
      return 'dropped-oldest';
    },
    take,
    get size() {
      return size;
    },
    get dropped() {
      return dropped;
    },
  };
};
