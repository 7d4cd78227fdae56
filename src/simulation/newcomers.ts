/**
 * What a map that only grows has gained since the last look, each thing once. The iterator stays where it is between two
 * looks and never runs to the map's end, where it would be over for good.
 */
export const createNewcomers = <T>(): ((map: ReadonlyMap<unknown, T>) => readonly T[]) => {
  let known: ReadonlyMap<unknown, T> | null = null;
  let values: Iterator<T> | null = null;
  let seen = 0;
  return map => {
    if (map !== known || values === null) {
      known = map;
      values = map.values();
      seen = 0;
    }
    const gained: T[] = [];
    for (; seen < map.size; seen++) gained.push((values.next() as IteratorYieldResult<T>).value);
    return gained;
  };
};
