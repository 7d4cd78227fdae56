/** The market of a study, a recording or candles: cut by time, and run over by the engine that fits. */
import { createHash } from 'node:crypto';
import { CANDLE_LENGTHS_MS } from '../domain/candles.js';
import type { Listing } from '../exchange/instruments.js';
import { runCandles } from './candle-run.js';
import { type CandleTape, candlesBetween } from './candles.js';
import { type RunOptions, runFast } from './fast-run.js';
import type { RunResult } from './run-result.js';
import { type MarketTape, tapeBetween, tapeUntil } from './tape.js';

export type StudyMarket =
  | { readonly type: 'recording'; readonly tape: MarketTape }
  | { readonly type: 'candles'; readonly candles: CandleTape };

export const listingsIn = (market: StudyMarket): readonly Listing[] =>
  market.type === 'recording' ? market.tape.listings : [market.candles.listing];

/** First and last moment, Unix ms: a candle counts by its beginning. Zeros where there is nothing. */
export const spanOf = (market: StudyMarket): readonly [fromMs: number, toMs: number] => {
  const { length } = market.type === 'recording' ? market.tape : market.candles;
  const atMs = market.type === 'recording' ? market.tape.atMs : market.candles.openAtMs;
  return [atMs[0] ?? 0, atMs[length - 1] ?? 0];
};

/** From the first moment to the end of the last candle, ms: the time of which a run's ratios are made. */
export const lengthOfRun = (market: StudyMarket): number => {
  const [fromMs, toMs] = spanOf(market);
  return toMs - fromMs + (market.type === 'candles' ? lengthOf(market.candles) : 0);
};

/**
 * A digest of everything in it: two markets of one name and length may differ.
 * @returns hexadecimal SHA-256
 */
export const digestOf = (market: StudyMarket): string => {
  const digest = createHash('sha256');
  const arrays =
    market.type === 'recording'
      ? [market.tape.atMs, market.tape.kinds, market.tape.symbols, market.tape.offsets, market.tape.numbers]
      : [
          market.candles.openAtMs,
          market.candles.open,
          market.candles.high,
          market.candles.low,
          market.candles.close,
          market.candles.volume,
        ];
  for (const { buffer, byteOffset, byteLength } of arrays)
    digest.update(new Uint8Array(buffer, byteOffset, byteLength));
  return digest.digest('hex');
};

/** What had happened by a time: of candles those that had closed. */
export const marketUntil = (market: StudyMarket, untilMs: number): StudyMarket =>
  market.type === 'recording'
    ? { ...market, tape: tapeUntil(market.tape, untilMs) }
    : { ...market, candles: candlesBetween(market.candles, Number.NEGATIVE_INFINITY, untilMs) };

/** A part of {@link spanOf}; it begins with the books as they stand. */
export const marketBetween = (market: StudyMarket, fromMs: number, toMs: number): StudyMarket =>
  market.type === 'recording'
    ? { ...market, tape: tapeBetween(market.tape, fromMs, toMs) }
    : { ...market, candles: candlesBetween(market.candles, fromMs, toMs + lengthOf(market.candles)) };

/** A run of strategies over all of a market. @throws StrategyNotMade, CandleError */
export const runStudy = (market: StudyMarket, options: RunOptions): RunResult =>
  market.type === 'recording'
    ? runFast({ ...options, tape: market.tape })
    : runCandles({ ...options, candles: market.candles });

const lengthOf = ({ interval }: CandleTape): number => CANDLE_LENGTHS_MS[interval];
