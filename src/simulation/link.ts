/** Ways by which things travel in a simulated world: each takes a drawn time and keeps the order of what it carries. */
import { exponential, type Random } from '../exchange/random.js';
import type { VirtualTime } from './virtual-time.js';

/** How long something takes: at least `leastMs`, and `meanExtraMs` more on average (exponentially distributed). */
export interface Latency {
  readonly leastMs: number;
  readonly meanExtraMs: number;
}

export const drawLatency = (latency: Latency, random: Random): number =>
  latency.meanExtraMs === 0 ? latency.leastMs : latency.leastMs + exponential(random, latency.meanExtraMs);

/** One direction of a channel or a connection. */
export interface Link<Message> {
  send(message: Message): void;
  /** Delivers now what is on its way, as a port that is read synchronously does. */
  drain(): void;
  /** What is on its way never arrives, and nothing sent from now on does. */
  cut(): void;
}

export const createLink = <Message>(
  time: VirtualTime,
  what: string,
  latency: Latency,
  random: Random,
  deliver: (message: Message) => void,
): Link<Message> => {
  let lastArrivalMs = 0;
  let cut = false;
  let onTheWay: Message[] = [];
  const arrive = (): void => {
    const message = onTheWay.shift();
    if (message !== undefined) deliver(message);
  };
  return {
    send: message => {
      if (cut) return;
      lastArrivalMs = Math.max(lastArrivalMs, time.now().monoMs + drawLatency(latency, random));
      onTheWay.push(message);
      time.at(lastArrivalMs, what, arrive);
    },
    drain: () => {
      // What a delivery sends in turn belongs to a later look.
      for (let left = onTheWay.length; left > 0; left--) arrive();
    },
    cut: () => {
      cut = true;
      onTheWay = [];
    },
  };
};
