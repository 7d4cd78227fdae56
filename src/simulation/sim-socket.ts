/** The venue's WebSocket over a simulated network: frames keep their order, and everything takes its time. */
import type { Random } from '../exchange/random.js';
import { createLink, drawLatency, type Latency, type Link } from './link.js';
import type { VirtualTime } from './virtual-time.js';

/** What a client hears, as btcturk/socket.ts tells it. */
export interface SocketListener {
  onOpen(): void;
  onText(text: string): void;
  onPing(): void;
  /** Called once: the socket is gone, or could not be made. */
  onClosed(detail: string): void;
}

export interface SimSocket {
  send(text: string): void;
  /** Lets go without a word; `onClosed` does not follow. */
  drop(): void;
}

/** The venue's side of one socket. */
export interface VenueSocketPeer {
  accepted(): void;
  refused(status: number): void;
  frame(text: string): void;
  ping(): void;
  closed(code: number, abrupt: boolean): void;
}

/** The venue as sockets see it. */
export interface VenueSockets {
  request(socketId: string, peer: VenueSocketPeer): void;
  frame(socketId: string, text: string): void;
  pong(socketId: string): void;
  closed(socketId: string): void;
}

export interface SimSocketOptions {
  readonly time: VirtualTime;
  readonly random: Random;
  readonly toVenue: Latency;
  readonly fromVenue: Latency;
  readonly venue: VenueSockets;
  /** A name no other socket of this world has. */
  readonly socketId: string;
  /** False once the worker behind this socket is gone. */
  isAlive(): boolean;
  /** Has `run` happen now, or when the worker's loop turns again. */
  whenAwake(run: () => void): void;
}

type ToVenue = { readonly type: 'text'; readonly text: string } | { readonly type: 'pong' | 'closed' };
type FromVenue =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'open' | 'ping' }
  | { readonly type: 'closed'; readonly detail: string };

export const openSimSocket = (options: SimSocketOptions, listener: SocketListener): SimSocket => {
  const { time, random, venue, socketId } = options;
  let over = false;
  const end = (detail: string): void => {
    if (over) return;
    over = true;
    listener.onClosed(detail);
  };
  const up: Link<ToVenue> = createLink(time, `${socketId} up`, options.toVenue, random, message => {
    if (message.type === 'text') venue.frame(socketId, message.text);
    else if (message.type === 'pong') venue.pong(socketId);
    else venue.closed(socketId);
  });
  const hear = (message: FromVenue): void => {
    if (over) return;
    if (!options.isAlive()) {
      // The process or thread behind it is gone: the system closes the connection.
      over = true;
      up.send({ type: 'closed' });
      return;
    }
    switch (message.type) {
      case 'open':
        listener.onOpen();
        return;
      case 'text':
        listener.onText(message.text);
        return;
      case 'ping':
        up.send({ type: 'pong' });
        listener.onPing();
        return;
      case 'closed':
        end(message.detail);
        return;
    }
  };
  const down: Link<FromVenue> = createLink(time, `${socketId} down`, options.fromVenue, random, message => {
    // The system hears for a worker that is gone.
    if (options.isAlive()) options.whenAwake(() => hear(message));
    else hear(message);
  });
  time.after(drawLatency(options.toVenue, random), `${socketId} handshake`, () => {
    if (over || !options.isAlive()) return;
    venue.request(socketId, {
      accepted: () => down.send({ type: 'open' }),
      refused: status =>
        down.send({ type: 'closed', detail: `the handshake was refused with HTTP ${status}` }),
      frame: text => down.send({ type: 'text', text }),
      ping: () => down.send({ type: 'ping' }),
      closed: (code, abrupt) =>
        down.send({ type: 'closed', detail: abrupt ? 'closed with code 1006' : `closed with code ${code}` }),
    });
  });
  return {
    send: text => {
      if (!over && options.isAlive()) up.send({ type: 'text', text });
    },
    drop: () => {
      if (over) return;
      over = true;
      up.send({ type: 'closed' });
    },
  };
};
