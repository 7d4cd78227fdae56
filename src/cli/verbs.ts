/** Every verb of `btcbot`, in the order of the help. A verb is loaded only when it is called. */
import type { Verb } from './verb.js';

export interface VerbEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Verb>;
}

const verbIn = async (module: Promise<{ readonly verb: Verb }>): Promise<Verb> => (await module).verb;

export const VERBS: readonly VerbEntry[] = [
  {
    name: 'status',
    summary: 'what the running bot may do now, and why',
    load: () => verbIn(import('./status.js')),
  },
  {
    name: 'health',
    summary: 'whether the running bot is well, in one line',
    load: () => verbIn(import('./health.js')),
  },
  {
    name: 'doctor',
    summary: 'examine configuration, disk, ledger, venue and key',
    load: () => verbIn(import('./doctor.js')),
  },
  {
    name: 'preflight',
    summary: 'every condition of live trading, met or not',
    load: () => verbIn(import('./preflight.js')),
  },
  {
    name: 'canary',
    summary: 'a few tiny live orders, one at a time, and their evidence',
    load: () => verbIn(import('./canary.js')),
  },
  {
    name: 'drill',
    summary: 'rehearse the kill on paper or in dry run, and time it',
    load: () => verbIn(import('./drill.js')),
  },
  {
    name: 'safe-mode',
    summary: 'force the running bot to observe only, or let go of that',
    load: () => verbIn(import('./safe-mode.js')),
  },
  {
    name: 'rotate-key',
    summary: 'prove a new API key and let the old one go, while the bot runs',
    load: () => verbIn(import('./rotate-key.js')),
  },
  {
    name: 'cancel-all',
    summary: 'cancel every order of our own',
    load: () => verbIn(import('./cancel-all.js')),
  },
  {
    name: 'orders',
    summary: 'orders from the ledger',
    load: () => verbIn(import('./orders.js')),
  },
  {
    name: 'fills',
    summary: 'executions of our orders',
    load: () => verbIn(import('./fills.js')),
  },
  {
    name: 'balances',
    summary: 'the account, reported and expected',
    load: () => verbIn(import('./balances.js')),
  },
  {
    name: 'pnl',
    summary: 'profit, fees and taxes, per symbol and in all',
    load: () => verbIn(import('./pnl.js')),
  },
  {
    name: 'explain',
    summary: 'one order from market event to fill',
    load: () => verbIn(import('./explain.js')),
  },
  {
    name: 'strategies',
    summary: 'the strategies there are, and what each declares',
    load: () => verbIn(import('./strategies.js')),
  },
  {
    name: 'new-strategy',
    summary: 'a strategy of your own to start from, with a test',
    load: () => verbIn(import('./new-strategy.js')),
  },
  {
    name: 'exchange',
    summary: 'a local BtcTurk to practise on',
    load: () => verbIn(import('./exchange.js')),
  },
  {
    name: 'record',
    summary: 'the public market, frame by frame, into files',
    load: () => verbIn(import('./record.js')),
  },
  {
    name: 'replay',
    summary: 'a recording as a market to practise on',
    load: () => verbIn(import('./replay.js')),
  },
  {
    name: 'backtest',
    summary: 'what a strategy would have done on a recorded market or on candles',
    load: () => verbIn(import('./backtest.js')),
  },
  {
    name: 'sweep',
    summary: 'many parameter sets of a strategy on one recording',
    load: () => verbIn(import('./sweep.js')),
  },
  {
    name: 'export',
    summary: 'CSV, JSON lines, or a copy of the database',
    load: () => verbIn(import('./export.js')),
  },
];
