/** Who talks to whom, and what a full mailbox does. The supervisor brokers one channel per pair. */

import type { ActorName } from '../domain/step.js';
import type { AccountReport, ExecutionReport } from './account.js';
import type { FromLedger, ToLedger } from './ledger.js';
import type { MarketEvent, MarketWish } from './market.js';
import type { OrderEvent, OrderIntent, OrderUpdated } from './orders.js';
import type { ToTelemetry } from './telemetry.js';

/** Every message type by direction, `sender>receiver`. `*` stands for any worker. */
export interface Conversations {
  'market-data>strategy': MarketEvent;
  'strategy>market-data': MarketWish;
  'market-data>execution': MarketEvent;
  'strategy>execution': OrderIntent;
  'execution>strategy': OrderEvent;
  'execution>reconciliation': ExecutionReport;
  'reconciliation>execution': AccountReport;
  'reconciliation>strategy': AccountReport;
  'market-data>twin': MarketEvent;
  'execution>twin': OrderUpdated;
  '*>ledger': ToLedger;
  'ledger>*': FromLedger;
  '*>telemetry': ToTelemetry;
}

/** What a receiver does when `limit` messages already wait. */
export type MailboxRule =
  /** Keep the newest per symbol and type; older ones are superseded. */
  | 'newest'
  /** The message is refused: the sender is told (intents are denied as `mailbox-full`). */
  | 'refuse'
  /** Nothing may be lost: the receiver asks for a hold and takes it all the same. */
  | 'hold'
  /** The oldest are dropped and counted. */
  | 'drop-oldest';

export interface Route {
  readonly pair: readonly [ActorName, ActorName];
  /** Rule and limit of each direction: first → second, second → first. */
  readonly rules: readonly [MailboxRule, MailboxRule];
  readonly limit: number;
}

const LEDGER_CLIENTS = ['supervisor', 'market-data', 'reconciliation', 'execution', 'strategy'] as const;
const TELEMETRY_CLIENTS = [
  'supervisor',
  'paper-exchange',
  'ledger',
  'market-data',
  'reconciliation',
  'execution',
  'strategy',
  'twin',
] as const;

export const ROUTES: readonly Route[] = [
  { pair: ['market-data', 'strategy'], rules: ['newest', 'drop-oldest'], limit: 2_000 },
  { pair: ['market-data', 'execution'], rules: ['newest', 'drop-oldest'], limit: 2_000 },
  { pair: ['strategy', 'execution'], rules: ['refuse', 'hold'], limit: 1_000 },
  { pair: ['execution', 'reconciliation'], rules: ['hold', 'hold'], limit: 10_000 },
  { pair: ['reconciliation', 'strategy'], rules: ['newest', 'drop-oldest'], limit: 1_000 },
  // The twin hears everything or is dropped: a gap would be a false figure.
  { pair: ['market-data', 'twin'], rules: ['drop-oldest', 'drop-oldest'], limit: 5_000 },
  { pair: ['execution', 'twin'], rules: ['drop-oldest', 'drop-oldest'], limit: 5_000 },
  ...LEDGER_CLIENTS.map(
    (client): Route => ({ pair: [client, 'ledger'], rules: ['hold', 'hold'], limit: 10_000 }),
  ),
  ...TELEMETRY_CLIENTS.map(
    (client): Route => ({
      pair: [client, 'telemetry'],
      rules: ['drop-oldest', 'drop-oldest'],
      limit: 10_000,
    }),
  ),
];
