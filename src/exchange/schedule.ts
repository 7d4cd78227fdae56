/** Things the venue has to do later: a heap by due time, first come first served among equals. */

interface Entry<Item> {
  readonly dueMs: number;
  readonly order: number;
  readonly item: Item;
}

export interface Schedule<Item> {
  readonly heap: Entry<Item>[];
  nextOrder: number;
}

export const emptySchedule = <Item>(): Schedule<Item> => ({ heap: [], nextOrder: 0 });

/** When the earliest item is due, monotonic ms. */
export const nextDueMs = (schedule: Schedule<unknown>): number | undefined => schedule.heap[0]?.dueMs;

export const schedule = <Item>(queue: Schedule<Item>, dueMs: number, item: Item): void => {
  const entry = { dueMs, order: queue.nextOrder++, item };
  const { heap } = queue;
  let at = heap.push(entry) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
};

/** The earliest item that is due by then, with its due time. */
export const takeDue = <Item>(
  queue: Schedule<Item>,
  byMs: number,
): { readonly dueMs: number; readonly item: Item } | undefined => {
  const { heap } = queue;
  const first = heap[0];
  if (first === undefined || first.dueMs > byMs) return undefined;
  const last = heap.pop()!;
  if (heap.length > 0) {
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
  return first;
};

const before = (left: Entry<unknown>, right: Entry<unknown>): boolean =>
  left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order);
