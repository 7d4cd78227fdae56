/**
 * Differences of one invented pair that can be sent over and over, as bytes that are ready to leave: whoever sends
 * twenty thousand frames a second beside what is measured must cost as little as possible.
 */
import {
  applyMove,
  differenceFrame,
  fullFrame,
  initialSides,
  tickerFrame,
  type Window,
  windowOf,
} from '../domain/venue-feed.js';

/** How a stream of invented frames is to be. */
export interface FrameStream {
  readonly pairs: number;
  readonly perSecond: number;
  /** Differences in all. */
  readonly differences: number;
}

/** Names of one length, so that a frame of one pair becomes that of another by writing over its bytes. */
export const symbolOf = (pair: number): string => `P${String(pair).padStart(3, '0')}USDT`;
/** The first change set, and by its length the room for all later ones. */
export const FIRST_CHANGE_SET = 10_000_000;

export interface FrameCycle {
  /** The book before the first difference, which is also that after the last. */
  readonly first: Window;
  /** Differences of one to three levels, each with the window after it. */
  readonly steps: readonly { readonly text: string; readonly after: Window }[];
}

const ROUNDS = 10;

/** One pair's differences with {@link FIRST_CHANGE_SET} in the place of their change set. */
export const cycleFor = (symbol: string): FrameCycle => {
  const sides = initialSides(10_000, 100);
  const steps: { text: string; after: Window }[] = [];
  const play = (): void => {
    for (let round = 0; round < ROUNDS; round++) {
      move([[9_999 - round, 500 + round, 'bids']]);
      move([
        [10_001 + round, 0, 'asks'],
        [9_990 - round, 300 + round, 'bids'],
      ]);
      move([
        [10_001 + round, 700 + round, 'asks'],
        [10_030 + round, 900 + round, 'asks'],
        [9_999 - round, 600 + round, 'bids'],
      ]);
    }
  };
  const move = (moves: readonly (readonly [ticks: number, lots: number, side: 'bids' | 'asks'])[]): void => {
    const before = windowOf(sides, 100);
    for (const [ticks, lots, side] of moves) applyMove(sides, { side, ticks, lots });
    const after = windowOf(sides, 100);
    steps.push({ text: differenceFrame(symbol, FIRST_CHANGE_SET, before, after), after });
  };
  // From the second time on every round begins with the same book.
  play();
  steps.length = 0;
  const first = windowOf(sides, 100);
  play();
  return { first, steps };
};

/** The bytes of one WebSocket text frame from a server, with the places of what differs from pair to pair. */
export interface FrameTemplate {
  readonly bytes: Buffer;
  readonly symbolAt: readonly number[];
  readonly changeSetAt: readonly number[];
}

export interface CycleTemplates {
  readonly differences: readonly FrameTemplate[];
  /** By the differences sent before: what the ticker and the full book say then. */
  readonly tickers: readonly FrameTemplate[];
  readonly books: readonly FrameTemplate[];
}

const placesOf = (bytes: Buffer, word: string): readonly number[] => {
  const places: number[] = [];
  for (let at = bytes.indexOf(word); at !== -1; at = bytes.indexOf(word, at + 1)) places.push(at);
  return places;
};

/** FIN and text, unmasked, as RFC 6455 section 5.2 has it. */
export const webSocketFrame = (text: string): Buffer => {
  const payload = Buffer.from(text);
  const head =
    payload.length < 126
      ? Buffer.from([0x81, payload.length])
      : payload.length < 65_536
        ? Buffer.from([0x81, 126, payload.length >> 8, payload.length & 0xff])
        : undefined;
  if (head === undefined) throw new Error('a frame of this size is not made here');
  return Buffer.concat([head, payload]);
};

const templateOf = (text: string): FrameTemplate => {
  const bytes = webSocketFrame(text);
  return {
    bytes,
    symbolAt: placesOf(bytes, symbolOf(0)),
    changeSetAt: placesOf(bytes, String(FIRST_CHANGE_SET)),
  };
};

export const templatesOf = (): CycleTemplates => {
  const { first, steps } = cycleFor(symbolOf(0));
  const windows = steps.map((_, place) => (place === 0 ? first : (steps[place - 1]?.after ?? first)));
  return {
    differences: steps.map(({ text }) => templateOf(text)),
    tickers: windows.map(window => templateOf(tickerFrame(symbolOf(0), window))),
    books: windows.map(window => templateOf(fullFrame(symbolOf(0), FIRST_CHANGE_SET, window, 'orderbook'))),
  };
};

/** Writes a template into `target` as a frame of another pair and change set. @returns where it ends */
export const writeFrame = (
  target: Buffer,
  at: number,
  template: FrameTemplate,
  symbol: Buffer,
  changeSet: number,
): number => {
  template.bytes.copy(target, at);
  for (const place of template.symbolAt) symbol.copy(target, at + place);
  for (const place of template.changeSetAt) {
    let rest = changeSet;
    for (let digit = String(FIRST_CHANGE_SET).length - 1; digit >= 0; digit--) {
      target[at + place + digit] = 48 + (rest % 10);
      rest = Math.floor(rest / 10);
    }
  }
  return at + template.bytes.length;
};
