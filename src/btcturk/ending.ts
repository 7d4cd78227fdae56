/**
 * A way to end a request from outside. `AbortController` is one, too; making one and listening to it takes 0.04 ms of
 * code that is in no cache, on the way of an order that is almost never ended.
 */

/** The part of an `AbortSignal` that requests look at. */
export interface EndSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface Ending {
  readonly signal: EndSignal;
  /** Ends what listens, once. */
  abort(): void;
}

export const createEnding = (): Ending => {
  const listeners: (() => void)[] = [];
  let aborted = false;
  return {
    signal: {
      get aborted() {
        return aborted;
      },
      reason: 'aborted',
      // Whether once or not: nothing is ended twice.
      addEventListener: (_type, listener) => void listeners.push(listener),
      removeEventListener(_type, listener) {
        const index = listeners.indexOf(listener);
        if (index >= 0) listeners.splice(index, 1);
      },
    },
    abort() {
      if (aborted) return;
      aborted = true;
      for (const listener of listeners.splice(0)) listener();
    },
  };
};
