/** The venue's side of the socket-to-book measurement, a thread of its own: an even stream of frames with their time of sending. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocketServer } from 'ws';
import { monoMs } from '#src/runtime/clock.js';
import { fullFrame } from '../domain/venue-feed.js';
import { cycleFor, type FrameStream, symbolOf } from './frame-cycle.js';

/** A start is measured nowhere: the whole books are read first. */
const SETTLE_MS = 1_500;

const { pairs, perSecond, frames } = workerData as FrameStream;
const cycles = Array.from({ length: pairs }, (_, pair) => cycleFor(symbolOf(pair)));
const changeSets = cycles.map(() => 1);

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
await once(server, 'listening');
parentPort?.postMessage({ port: (server.address() as AddressInfo).port });
server.once('connection', socket => {
  socket.send('[991,{"type":991}]');
  let joined = 0;
  socket.on('message', message => {
    const [, payload] = JSON.parse(message.toString()) as [
      number,
      { channel: string; event: string; join: boolean },
    ];
    if (payload.channel !== 'obdiff' || !payload.join) return;
    const pair = Number(payload.event.slice(1, -4));
    socket.send(fullFrame(payload.event, 1, (cycles[pair] as (typeof cycles)[number]).first));
    joined += 1;
    if (joined === pairs) setTimeout(stream, SETTLE_MS);
  });
  const stream = (): void => {
    const beganMs = monoMs();
    let sent = 0;
    const timer = setInterval(() => {
      const due = Math.min(frames, Math.floor(((monoMs() - beganMs) * perSecond) / 1_000));
      while (sent < due) {
        const pair = sent % pairs;
        const { texts } = cycles[pair] as (typeof cycles)[number];
        const place = ((changeSets[pair] as number) - 1) % texts.length;
        changeSets[pair] = (changeSets[pair] as number) + 1;
        socket.send((texts[place] as string).replace('"CS":0', `"CS":${changeSets[pair]},"at":${monoMs()}`));
        sent += 1;
      }
      if (sent < frames) return;
      clearInterval(timer);
      socket.send('[999,{"end":true}]');
    }, 1);
  };
});
