/** Text frames of the private socket, read without loss (protocol sections 9.1, 9.10 and 9.11). Never throws. */
import { MoneyError, parseDecimal } from '../domain/money.js';
import type { PrivateEvent } from '../domain/venue-port.js';
import { parseJson } from './json.js';
import { TranslationError, toFill } from './translate.js';
import { VenueLoginResult, VenueMatchEvent, VenueOrderEvent, VenueUserTrade } from './wire.js';

export type PrivateFrame =
  | { readonly type: 'version' }
  | {
      readonly type: 'login-result';
      readonly ok: boolean;
      readonly message: string;
      /** Whom the key belongs to; null where the venue does not say (a refusal names user 0). */
      readonly userId: string | null;
    }
  | { readonly type: 'event'; readonly event: PrivateEvent }
  /** A model we have no use for; the venue may add more at any time. */
  | { readonly type: 'ignored'; readonly model: number }
  /** A frame that should have told something and cannot be read. `model` is null when even that is unclear. */
  | { readonly type: 'malformed'; readonly model: number | null; readonly problem: string };

export const readPrivateFrame = (text: string): PrivateFrame => {
  const parsed = parseJson(text);
  if (!parsed.ok) return { type: 'malformed', model: null, problem: parsed.problem };
  if (!Array.isArray(parsed.value) || typeof parsed.value[0] !== 'number')
    return { type: 'malformed', model: null, problem: 'not a pair of model number and payload' };
  const [model, payload] = parsed.value as [number, unknown];
  try {
    return frameOf(model, payload);
  } catch (error) {
    if (error instanceof TranslationError || error instanceof MoneyError)
      return { type: 'malformed', model, problem: error.message };
    throw error;
  }
};

const frameOf = (model: number, payload: unknown): PrivateFrame => {
  switch (model) {
    case 991:
      return { type: 'version' };
    case 114: {
      const result = VenueLoginResult.safeParse(payload);
      if (!result.success) return malformed(model);
      const { ok, message, id } = result.data;
      const userId = id === undefined || id === '0' ? null : id;
      return { type: 'login-result', ok, message: message ?? '', userId };
    }
    case 201:
      return { type: 'event', event: { type: 'balance-hint' } };
    case 423: {
      const trade = VenueUserTrade.safeParse(payload);
      return trade.success
        ? { type: 'event', event: { type: 'fill', fill: toFill(trade.data) } }
        : malformed(model);
    }
    case 441: {
      const match = VenueMatchEvent.safeParse(payload);
      if (!match.success) return malformed(model);
      const { id, clientId, amount } = match.data;
      if (isNobodys(id)) return malformed(model);
      return {
        type: 'event',
        event: {
          type: 'match-hint',
          venueOrderId: id,
          clientOrderId: clientId,
          quantity: parseDecimal(amount),
        },
      };
    }
    case 451:
    case 452:
    case 453: {
      const order = VenueOrderEvent.safeParse(payload);
      if (!order.success) return malformed(model);
      const { id: venueOrderId, newOrderClientId: clientOrderId } = order.data;
      if (isNobodys(venueOrderId)) return malformed(model);
      // 453 is documented, and was never seen for orders of a key: that it says something of an order is a reason to read it.
      if (model === 453)
        return { type: 'event', event: { type: 'match-hint', venueOrderId, clientOrderId, quantity: 0n } };
      const type = model === 451 ? 'order-inserted' : 'order-removed';
      return { type: 'event', event: { type, venueOrderId, clientOrderId } };
    }
    default:
      return { type: 'ignored', model };
  }
};

/** An id of zero has been seen under a label (protocol section 9.11): no order can be asked for or canceled by it. */
const isNobodys = (id: string): boolean => /^0+$/.test(id);

/** What is missing is in the frame, which may name the account: only the model is told. */
const malformed = (model: number): PrivateFrame => ({
  type: 'malformed',
  model,
  problem: `model ${model} lacks a field or has a malformed one`,
});
