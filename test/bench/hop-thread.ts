/**
 * One end of a hop: an actor as the host runs it, its ports brokered and its mailbox in between; or, for comparison, the
 * same on a bare port. The asking end sends, waits for the answer, and sends again; what it measured it tells at its end.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { ActorName } from '#src/domain/step.js';
import { hostActor } from '#src/runtime/actor-host.js';
import type { WorkerBoot } from '#src/runtime/settings.js';
import { bookOf, intentOf } from './hop-messages.js';

/** What such a thread is born with. */
export interface HopThreadData {
  readonly boot: Pick<WorkerBoot, 'actor' | 'incarnation' | 'credentials'>;
  readonly peer: ActorName;
  /** What the asking end sends; the other answers with an intent. */
  readonly asks: 'intent' | 'book' | null;
  readonly count: number;
  /** In place of the host's ports. */
  readonly bare?: MessagePort;
}

const { boot, peer, asks, count, bare } = workerData as HopThreadData;

/** Asks `count` times, one after the other. @param tell given the ms of each way there and back */
const asking = (send: (message: unknown) => void, tell: (taken: readonly number[]) => void) => {
  const taken: number[] = [];
  let sentMs = 0;
  const ask = (): void => {
    // Made anew each time, as a brain does: nothing of it is shared with the one before.
    const message = asks === 'book' ? bookOf(taken.length) : intentOf(taken.length);
    sentMs = performance.now();
    send(message);
  };
  return {
    begin: ask,
    answered: (): void => {
      taken.push(performance.now() - sentMs);
      if (taken.length < count) ask();
      else tell(taken);
    },
  };
};

if (bare !== undefined) {
  const asker = asking(
    message => bare.postMessage(message),
    taken => parentPort?.postMessage(taken),
  );
  bare.on('message', asks === null ? () => bare.postMessage(intentOf(0)) : asker.answered);
  if (asks !== null) asker.begin();
} else
  hostActor(boot.actor as ActorName, context => {
    const send = (message: unknown): void => void context.send(peer as never, message as never);
    const measured = Promise.withResolvers<readonly number[]>();
    const asker = asking(send, measured.resolve);
    return {
      start: async () => (asks === null ? {} : { taken: JSON.stringify(await measured.promise) }),
      onMessage: asks === null ? () => send(intentOf(0)) : asker.answered,
      onControl: message => {
        if (message.type === 'peer-connected' && asks !== null) asker.begin();
      },
      drain: async () => {},
      snapshot: () => null,
    };
  });
