import { faultOn, strikes } from './faults.js';
import type { Market, SocketSession, Subscription, VenueState } from './venue-state.js';

/** Sends one text frame, unless this socket has gone silent. */
export const sendFrame = (venue: VenueState, session: SocketSession, text: string): void => {
  if (session.stalled) return;
  if (strikes(venue.faults, 'silent-stall') !== undefined) {
    session.stalled = true;
    return;
  }
  const corrupt = strikes(venue.faults, 'corrupt-frame') !== undefined;
  venue.effects.push({
    type: 'frame',
    socketId: session.socketId,
    text: corrupt ? text.slice(0, Math.ceil(text.length / 2)) : text,
  });
};

/** Sends to one subscriber of a channel, unless the channel has stalled. */
export const sendToSubscriber = (
  venue: VenueState,
  subscription: Subscription,
  market: Market | null,
  text: string,
): void => {
  const site = market === null ? {} : { symbol: market.listing.symbol };
  const stalled = faultOn(venue.faults, 'stalled-channel')?.value === subscription.channel;
  if (stalled && strikes(venue.faults, 'stalled-channel', site) !== undefined) return;
  sendFrame(venue, subscription.session, text);
};
