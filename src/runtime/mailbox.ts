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

  const compact = (): void => {
    if (head < 1_024 || head * 2 < queue.length) return;
    queue = queue.slice(head);
    for (const [key, index] of waiting) waiting.set(key, index - head);
    head = 0;
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
      const type = (message as Keyed).type;
      if (rule === 'newest' && (type === 'book-updated' || type === 'account-updated')) {
        const key = supersessionKey(message);
        const older = waiting.get(key);
        waiting.set(key, queue.length);
        if (older !== undefined && queue[older] !== undefined) {
          queue[older] = undefined;
          append(message);
          size -= 1;
          return 'superseded';
        }
        append(message);
        return 'kept';
      }
      if (size < limit) {
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
