/** The embedded exchange under virtual time: requests and frames go in as wire text, and come out when they are due. */
import type { Account } from '../exchange/accounts.js';
import { initialVenue, nextWakeMs, stepVenue } from '../exchange/venue.js';
import type {
  AdminCommand,
  HttpReply,
  MarketActivity,
  VenueConfig,
  VenueEffect,
  VenueInput,
  VenueState,
} from '../exchange/venue-state.js';
import type { VenueHttp } from './sim-rest.js';
import type { VenueSocketPeer, VenueSockets } from './sim-socket.js';
import type { VirtualTime } from './virtual-time.js';

export interface SimVenue extends VenueHttp, VenueSockets {
  /** Something a recording says of a market. */
  market(symbol: string, activity: MarketActivity): void;
  /** @throws Error when the exchange refuses the command: the script of a simulation must be right */
  admin(command: AdminCommand): void;
  account(apiKey: string): Account;
  readonly state: VenueState;
}

export const createSimVenue = (
  time: VirtualTime,
  config: VenueConfig,
  onAccountEvent: () => void = () => {},
): SimVenue => {
  let state = initialVenue(config);
  const requests = new Map<string, (reply: HttpReply | null) => void>();
  const sockets = new Map<string, VenueSocketPeer>();
  let nextRequest = 1;
  let wakeAtMs = Number.POSITIVE_INFINITY;

  const step = (input: VenueInput): void => {
    const stepped = stepVenue(state, input, time.now());
    state = stepped.state;
    for (const effect of stepped.effects) perform(effect);
    scheduleWake();
  };

  const scheduleWake = (): void => {
    const due = nextWakeMs(state);
    if (due === undefined || due >= wakeAtMs) return;
    wakeAtMs = due;
    time.at(due, 'venue', () => {
      // An earlier wake may have been asked for meanwhile; then this one has nothing to do.
      if (wakeAtMs !== due) return;
      wakeAtMs = Number.POSITIVE_INFINITY;
      step({ type: 'tick' });
    });
  };

  const settle = (requestId: string, reply: HttpReply | null): void => {
    const onReply = requests.get(requestId);
    requests.delete(requestId);
    onReply?.(reply);
  };

  const perform = (effect: VenueEffect): void => {
    switch (effect.type) {
      case 'reply':
        settle(effect.requestId, effect);
        return;
      case 'reset-request':
        settle(effect.requestId, null);
        return;
      case 'accept-socket':
        sockets.get(effect.socketId)?.accepted();
        return;
      case 'refuse-socket':
        sockets.get(effect.socketId)?.refused(effect.status);
        sockets.delete(effect.socketId);
        return;
      case 'frame':
        sockets.get(effect.socketId)?.frame(effect.text);
        return;
      case 'ping':
        sockets.get(effect.socketId)?.ping();
        return;
      case 'close-socket':
        sockets.get(effect.socketId)?.closed(effect.code, effect.abrupt);
        sockets.delete(effect.socketId);
        return;
      case 'account-event':
        onAccountEvent();
        return;
      case 'refused':
        throw new Error(`the simulated exchange refuses a command: ${effect.reason}`);
    }
  };

  return {
    http: (request, onReply) => {
      const requestId = String(nextRequest++);
      requests.set(requestId, onReply);
      step({ type: 'http', requestId, ...request });
    },
    request: (socketId, peer) => {
      sockets.set(socketId, peer);
      step({ type: 'socket-requested', socketId, ip: '127.0.0.1' });
    },
    frame: (socketId, text) => {
      if (sockets.has(socketId)) step({ type: 'socket-frame', socketId, text });
    },
    pong: socketId => {
      if (sockets.has(socketId)) step({ type: 'socket-pong', socketId });
    },
    closed: socketId => {
      if (sockets.delete(socketId)) step({ type: 'socket-closed', socketId });
    },
    market: (symbol, activity) => step({ type: 'market', symbol, activity }),
    admin: command => step({ type: 'admin', command }),
    account: apiKey => {
      const account = state.accounts.get(apiKey);
      if (account === undefined) throw new Error(`the simulated exchange has no account ${apiKey}`);
      return account;
    },
    get state() {
      return state;
    },
  };
};
