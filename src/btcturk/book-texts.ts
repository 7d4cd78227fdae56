/**
 * Whole books of a feed in the venue's own words, so that every part of a recording can begin with them: levels are
 * kept as the texts they came as, and nothing is rounded.
 */
import { isNext } from '../domain/order-book.js';
import { isRecord } from './json.js';

export interface BookTexts {
  /** Follows the `obdiff` frames among all frames, already parsed from JSON. */
  note(frame: unknown): void;
  /** A 431 frame for every book that is known, with the change set its differences go on from. */
  frames(): readonly string[];
}

interface BookText {
  changeSet: number;
  readonly bids: Map<string, string>;
  readonly asks: Map<string, string>;
}

export const createBookTexts = (): BookTexts => {
  const books = new Map<string, BookText>();
  return {
    note(frame) {
      if (!Array.isArray(frame) || !isRecord(frame[1])) return;
      const { event, channel, CS: changeSet, BO: bids, AO: asks } = frame[1];
      if (typeof event !== 'string' || channel !== 'obdiff' || typeof changeSet !== 'number') return;
      if (frame[0] === 431) {
        const book = { changeSet, bids: new Map<string, string>(), asks: new Map<string, string>() };
        if (change(book.bids, bids) && change(book.asks, asks)) books.set(event, book);
        else books.delete(event);
      } else if (frame[0] === 432) {
        const book = books.get(event);
        if (book === undefined) return;
        const next = isNext(changeSet, book.changeSet);
        if (!next && changeSet <= book.changeSet) return;
        // A broken chain: nothing is known until the next whole book.
        if (!next || !change(book.bids, bids) || !change(book.asks, asks)) books.delete(event);
        else book.changeSet = changeSet;
      }
    },
    frames: () =>
      [...books].map(([event, book]) =>
        JSON.stringify([
          431,
          {
            CS: book.changeSet,
            PS: event,
            AO: levels(book.asks, 1),
            BO: levels(book.bids, -1),
            channel: 'obdiff',
            event,
            type: 431,
          },
        ]),
      ),
  };
};

/** Applies levels with or without `CP`. @returns false when one cannot be read. */
const change = (side: Map<string, string>, changes: unknown): boolean => {
  if (!Array.isArray(changes)) return changes === null;
  for (const level of changes as readonly unknown[]) {
    if (!isRecord(level) || typeof level.P !== 'string' || typeof level.A !== 'string') return false;
    if (level.CP === 3) side.delete(level.P);
    else side.set(level.P, level.A);
  }
  return true;
};

const levels = (side: ReadonlyMap<string, string>, sign: 1 | -1): readonly { A: string; P: string }[] =>
  [...side]
    .sort(([left], [right]) => sign * (Number(left) - Number(right)))
    .map(([price, amount]) => ({ A: amount, P: price }));
