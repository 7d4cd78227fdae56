/** Things that happen, kept in their order, and waited for. */
export interface Collected<T> {
  readonly items: readonly T[];
  add(item: T): void;
  /** The first that matches, from those kept or still to come. */
  find<S extends T>(matches: (item: T) => item is S): Promise<S>;
  find(matches: (item: T) => boolean): Promise<T>;
  /** Forgets what was kept. */
  clear(): void;
}

export const eventsOf = <T>(): Collected<T> => {
  const items: T[] = [];
  let waiting: (() => void)[] = [];
  return {
    items,
    add: item => {
      items.push(item);
      for (const look of waiting) look();
    },
    find: (matches: (item: T) => boolean): Promise<never> =>
      new Promise(resolve => {
        const look = (): void => {
          const found = items.find(matches);
          if (found === undefined) return;
          waiting = waiting.filter(other => other !== look);
          resolve(found as never);
        };
        waiting.push(look);
        look();
      }),
    clear: () => {
      items.length = 0;
    },
  };
};
