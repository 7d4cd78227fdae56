/**
 * The bare trader in one thread, or with each of its parts on a thread of its own, joined as the bot's actors are: what
 * watches tells what decides, that tells what sends, and that waits for what makes durable. The second says what the
 * split costs by itself, on this machine, with nothing in the threads.
 */
import { MessageChannel, type MessagePort, Worker, workerData } from 'node:worker_threads';
import {
  type BareOrder,
  type BareSettings,
  bareDecider,
  bareJournal,
  bareSender,
  watchBids,
} from './bare-parts.js';

type Part = 'watch' | 'decide' | 'send' | 'keep';

/** A part's thread: what it hears on, and whom it tells. */
interface PartData {
  readonly part: Part;
  readonly settings: BareSettings;
  readonly ports: readonly MessagePort[];
}

const ready = (): void => void process.stdout.write('ready\n');

const runWhole = (settings: BareSettings): void => {
  const decide = bareDecider(settings);
  const keep = bareJournal(settings);
  const send = bareSender(settings);
  watchBids(settings, (bid, isFirst) => {
    if (isFirst) return ready();
    const order = decide(bid);
    keep(order);
    send(order);
  });
};

const runPart = ({ part, settings, ports: [one, other] }: PartData): void => {
  if (part === 'watch')
    watchBids(settings, (bid, isFirst) => {
      if (isFirst) ready();
      else one?.postMessage(bid);
    });
  else if (part === 'decide') {
    const decide = bareDecider(settings);
    one?.on('message', (bid: number) => other?.postMessage(decide(bid)));
  } else if (part === 'send') {
    const send = bareSender(settings);
    one?.on('message', (order: BareOrder) => other?.postMessage(order));
    other?.on('message', send);
  } else {
    const keep = bareJournal(settings);
    one?.on('message', (order: BareOrder) => {
      keep(order);
      one.postMessage(order);
    });
  }
};

const start = (part: Part, settings: BareSettings, ...ports: MessagePort[]): void => {
  const data: PartData = { part, settings, ports };
  new Worker(new URL(import.meta.url), { workerData: data, transferList: ports });
};

if (workerData !== null) runPart(workerData as PartData);
else {
  const settings = JSON.parse(process.env.BARE ?? '{}') as BareSettings;
  if (settings.split) {
    const [bids, orders, rows] = [new MessageChannel(), new MessageChannel(), new MessageChannel()];
    start('keep', settings, rows.port2);
    start('send', settings, orders.port2, rows.port1);
    start('decide', settings, bids.port2, orders.port1);
    start('watch', settings, bids.port1);
  } else runWhole(settings);
}
