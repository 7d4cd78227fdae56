import type { SupervisorStatus } from '../domain/supervisor.js';
import { BOOKS_OPTIONS, BOOKS_USAGE, noPositionals } from './books.js';
import { askBot, socketOf, Unreachable } from './control-client.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'health',
  usage: `health ${BOOKS_USAGE}`,
  about: `Says in one line whether the running bot is well; fast, for a container's health check.

Healthy: every worker is up and gives signs of life, but for one that only looks on, no fault holds trading, and no
strategy was stopped for what it did. Safe mode, dry run and the kill switch are no faults. Exit codes: 0 healthy, 1 degraded, 2 no bot answers. JSON: { health, reasons: [] }.`,
  options: { ...BOOKS_OPTIONS },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const { health, reasons, exitCode } = await judge(socketOf(values, io));
    io.out(values.json === true ? json({ health, reasons }) : `${[health, ...reasons].join('; ')}\n`);
    return exitCode;
  },
};

interface Health {
  readonly health: 'healthy' | 'degraded' | 'unreachable';
  readonly reasons: readonly string[];
  readonly exitCode: 0 | 1 | 2;
}

const judge = async (path: string): Promise<Health> => {
  try {
    const { status } = await askBot(path, { type: 'status' });
    const reasons = status === undefined ? ['the bot answers without a status'] : degradations(status);
    return reasons.length === 0
      ? { health: 'healthy', reasons, exitCode: 0 }
      : { health: 'degraded', reasons, exitCode: 1 };
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return { health: 'unreachable', reasons: [error.message], exitCode: 2 };
  }
};

/** What is not as it should be; the operator's own safe mode is. */
export const degradations = (status: SupervisorStatus): readonly string[] => [
  ...(status.phase === 'running' ? [] : [`the bot is ${status.phase}`]),
  ...Object.entries(status.workers)
    .filter(([, { status: is, late }]) => (is !== 'up' && is !== 'dropped') || late)
    .map(([actor, worker]) => `${actor} is ${worker.late ? 'late' : worker.status}`),
  ...status.holds.filter(hold => hold.cause !== 'operator').map(hold => `hold ${hold.key}: ${hold.detail}`),
  // One that is being stopped with its worker is told of by the worker's own state.
  ...(status.workers.strategy?.status === 'up' ? strategiesIn(status) : [])
    .filter(({ state }) => state === 'stopped')
    .map(({ strategy, reason }) => `strategy ${String(strategy)} is stopped: ${String(reason)}`),
];

type Facts = Readonly<Record<string, unknown>>;

/** What each strategy that runs says of itself: one of them by itself, several by name. */
export const strategiesIn = (status: SupervisorStatus): readonly Facts[] => {
  const facts = status.workers.strategy?.facts ?? {};
  if (typeof facts.strategies === 'object' && facts.strategies !== null)
    return Object.values(facts.strategies as Readonly<Record<string, Facts>>);
  return facts.strategy === undefined ? [] : [facts];
};
