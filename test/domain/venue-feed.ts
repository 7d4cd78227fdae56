/**
 * A model of the venue's side of one book, written without the book builder: levels in plain maps, the window found by
 * sorting. It speaks frames of protocol sections 9.8 and 9.9 as text.
 */

export type Sides = { readonly bids: Map<number, number>; readonly asks: Map<number, number> };

/** `[ticks, lots]` pairs, best first. */
export type Window = {
  readonly bids: readonly [number, number][];
  readonly asks: readonly [number, number][];
};

const topOf = (levels: ReadonlyMap<number, number>, descending: boolean, depth: number): [number, number][] =>
  [...levels].sort(([left], [right]) => (descending ? right - left : left - right)).slice(0, depth);

export const windowOf = ({ bids, asks }: Sides, depth: number): Window => ({
  bids: topOf(bids, true, depth),
  asks: topOf(asks, false, depth),
});

/** A window as the builder's `levelsOf` lays it out. */
export const layout = ({ bids, asks }: Window): number[] => [
  bids.length,
  asks.length,
  ...bids.flat(),
  ...asks.flat(),
];

/** Prices at scale 2 and quantities at scale 4, as decimal text without a binary float in between. */
export const priceText = (ticks: number): string => fixed(ticks, 2);
export const quantityText = (lots: number): string => fixed(lots, 4);
const fixed = (value: number, scale: number): string => {
  const digits = String(value).padStart(scale + 1, '0');
  return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
};

const fullSide = (levels: readonly [number, number][]): unknown[] =>
  levels.map(([ticks, lots]) => ({ A: quantityText(lots), P: priceText(ticks) }));

export const fullFrame = (
  symbol: string,
  changeSet: number,
  window: Window,
  channel: 'obdiff' | 'orderbook' = 'obdiff',
): string =>
  JSON.stringify([
    431,
    {
      CS: changeSet,
      PS: symbol,
      AO: fullSide(window.asks),
      BO: fullSide(window.bids),
      channel,
      event: symbol,
      type: 431,
    },
  ]);

const changes = (before: readonly [number, number][], after: readonly [number, number][]): unknown[] => {
  const was = new Map(before);
  const is = new Map(after);
  return [
    ...after.flatMap(([ticks, lots]) => {
      const earlier = was.get(ticks);
      if (earlier === lots) return [];
      return [{ CP: earlier === undefined ? 1 : 0, P: priceText(ticks), A: quantityText(lots) }];
    }),
    ...before.flatMap(([ticks, lots]) =>
      is.has(ticks) ? [] : [{ CP: 3, P: priceText(ticks), A: quantityText(lots) }],
    ),
  ];
};

export const differenceFrame = (symbol: string, changeSet: number, before: Window, after: Window): string =>
  JSON.stringify([
    432,
    {
      CS: changeSet,
      PS: symbol,
      AO: changes(before.asks, after.asks),
      BO: changes(before.bids, after.bids),
      channel: 'obdiff',
      event: symbol,
      type: 432,
    },
  ]);

export const tickerFrame = (symbol: string, { bids, asks }: Window): string =>
  JSON.stringify([
    402,
    {
      B: bids[0] === undefined ? '0' : priceText(bids[0][0]),
      A: asks[0] === undefined ? '0' : priceText(asks[0][0]),
      PS: symbol,
      channel: 'ticker',
      event: symbol,
      type: 402,
    },
  ]);

export const tradeFrame = (symbol: string, tradeId: string, price: string, side: 0 | 1 = 0): string =>
  JSON.stringify([
    422,
    {
      D: '1790133598755',
      I: tradeId,
      A: '0.5',
      P: price,
      PS: symbol,
      S: side,
      channel: 'trade',
      event: symbol,
      type: 422,
    },
  ]);

/** One change of the market: sets a level's lots on one side (0 removes it). The other side gives way. */
export interface Move {
  readonly side: 'bids' | 'asks';
  readonly ticks: number;
  readonly lots: number;
}

export const applyMove = (sides: Sides, { side, ticks, lots }: Move): void => {
  if (lots === 0) {
    sides[side].delete(ticks);
    return;
  }
  sides[side].set(ticks, lots);
  const other = side === 'bids' ? sides.asks : sides.bids;
  for (const level of other.keys())
    if (side === 'bids' ? level <= ticks : level >= ticks) other.delete(level);
};

export const initialSides = (middle = 10_000, levels = 20): Sides => ({
  bids: new Map(Array.from({ length: levels }, (_, index) => [middle - 1 - index, 100 + index])),
  asks: new Map(Array.from({ length: levels }, (_, index) => [middle + 1 + index, 200 + index])),
});
