/** Frames of the public feed, read as market activity: from a recording's lines or from a live socket. */
import { tryParseDecimal } from '../domain/money.js';
import type { MarketActivity, RecordedLevel } from './venue-state.js';

/** What one frame says about one market. `changeSet` is null for trades. */
export interface FrameActivity {
  readonly symbol: string;
  readonly activity: MarketActivity;
  readonly changeSet: number | null;
}

/** A frame that claims a known model and does not keep its shape. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/**
 * Reads `[model, payload]`: 431 and 432 of `obdiff`, and 422.
 * @returns `undefined` for a frame that is none of these
 * @throws FrameError
 */
export const readFrameActivity = (frame: unknown): FrameActivity | undefined => {
  if (!Array.isArray(frame) || typeof frame[0] !== 'number')
    throw new FrameError('a frame is [model, payload]');
  const model = frame[0];
  if (model !== 431 && model !== 432 && model !== 422) return undefined;
  const payload = record(frame[1], `the payload of a ${model}`);
  if (payload.channel !== undefined && payload.channel !== 'obdiff' && payload.channel !== 'trade')
    return undefined;
  const symbol = payload.event ?? payload.PS;
  if (typeof symbol !== 'string' || symbol === '') throw new FrameError(`a ${model} names no pair`);
  if (model === 422) {
    const side = payload.S === 1 ? 'sell' : 'buy';
    const activity: MarketActivity = {
      type: 'trade',
      tradeId: typeof payload.I === 'string' ? payload.I : String(payload.I),
      price: decimal(payload.P, 'P'),
      quantity: decimal(payload.A, 'A'),
      side,
    };
    return { symbol, activity, changeSet: null };
  }
  if (typeof payload.CS !== 'number') throw new FrameError(`a ${model} has no CS`);
  const whole = model === 431;
  const activity: MarketActivity = {
    type: 'book',
    whole,
    bids: levels(payload.BO, whole),
    asks: levels(payload.AO, whole),
  };
  return { symbol, activity, changeSet: payload.CS };
};

const levels = (value: unknown, whole: boolean): readonly RecordedLevel[] => {
  // As for the bot's own books: a null side is an empty one.
  if (value === null) return [];
  if (!Array.isArray(value)) throw new FrameError('a book has AO and BO lists');
  return value.map(item => {
    const level = record(item, 'a level');
    const price = decimal(level.P, 'P');
    if (!whole && level.CP !== 0 && level.CP !== 1 && level.CP !== 3)
      throw new FrameError(`a level has CP ${JSON.stringify(level.CP)}`);
    // A deleted level carries its last amount (protocol section 9.9).
    const amount = decimal(level.A, 'A');
    return { price, total: !whole && level.CP === 3 ? 0n : amount };
  });
};

const record = (value: unknown, what: string): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FrameError(`${what} is not an object`);
  return value as Readonly<Record<string, unknown>>;
};

const decimal = (value: unknown, name: string): bigint => {
  const parsed = typeof value === 'string' ? tryParseDecimal(value) : undefined;
  if (parsed === undefined || parsed < 0n)
    throw new FrameError(`${name} is not a decimal text: ${JSON.stringify(value)?.slice(0, 40)}`);
  return parsed;
};
