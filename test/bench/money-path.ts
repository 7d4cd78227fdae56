/** How many intents a second pass through gate, journal, budget, fence and REST. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OrderReported } from '#src/domain/account-events.js';
import { type Order, venueOrderIdOf } from '#src/domain/order.js';
import type { OrderUpdated } from '#src/domain/order-events.js';
import { BENCH_LIMITS } from '../domain/execution-bench.js';
import { d } from '../domain/orders.js';
import { startLedgerThread } from '../ledger/thread.js';
import { type ExecutionThread, startExecutionThread } from '../workers/execution-thread.js';
import { figure, inTurns, median, type Rounds } from './figures.js';
import type { Section } from './section.js';

const INTENTS = 200;
const AT_ONCE = [1, 8, 32] as const;
/** Only an exchange on this machine may be given such a rate; the venue's own is 8 a second. */
const RATE = 20_000;

/** Waits for states of orders by intent, without looking through what was heard before. */
const watchOrders = (thread: ExecutionThread) => {
  const waiting = new Map<string, { readonly status: string; readonly tell: (order: Order) => void }>();
  thread.strategy.each(message => {
    const { order } = message as unknown as Partial<OrderUpdated>;
    if (order === undefined) return;
    const wanted = waiting.get(order.intentId);
    if (wanted?.status !== order.state.status) return;
    waiting.delete(order.intentId);
    wanted.tell(order);
  });
  return (intentId: string, status: string): Promise<Order> =>
    new Promise(tell => waiting.set(intentId, { status, tell }));
};

/** Sends intents, so many at once, until all of them are at the venue and have ended. @returns intents per second */
const burst = async (
  thread: ExecutionThread,
  reached: ReturnType<typeof watchOrders>,
  intents: number,
  atOnce: number,
): Promise<number> => {
  for (const heard of [thread.strategy, thread.reconciliation, thread.supervisor, thread.writes])
    heard.all.length = 0;
  const startedMs = performance.now();
  let left = intents;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      thread.book();
      const intentId = thread.place({ price: d('95'), quantity: d('1') }, 60_000);
      const order = await reached(intentId, 'working');
      thread.tell('reconciliation', reportOfEnd(order) as never);
      await reached(intentId, 'canceled');
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return (intents * 1_000) / (performance.now() - startedMs);
};

/** The venue's word that an order was taken off its book, as reconciliation passes it on. */
const reportOfEnd = ({ clientOrderId, terms, state }: Order): OrderReported => ({
  type: 'order-reported',
  id: 'reconciliation:1:9',
  cause: 'bench',
  clientOrderId,
  asOfMonoMs: 0,
  report: {
    venueOrderId: venueOrderIdOf(state) ?? '',
    clientOrderId,
    symbol: terms.symbol,
    side: terms.side,
    method: terms.method,
    price: terms.price,
    quantity: terms.quantity,
    remaining: terms.quantity,
    status: 'canceled',
    createdAtMs: 0,
    updatedAtMs: 0,
  },
});

export const moneyPath: Section = {
  name: 'money-path',
  title: 'Intents a second',
  about:
    'The real execution and ledger workers, each a thread of its own, with the ledger on this disk: every intent is judged, committed durably, granted by the request budget, let through the fence, posted over loopback HTTP, confirmed, and ended by a report. The request budget is given a rate that only an exchange on this machine may be given.',
  async run({ rounds, tiny }) {
    const intents = tiny ? 4 : INTENTS;
    const directory = mkdtempSync(join(tmpdir(), 'btcbot-bench-'));
    const ledger = startLedgerThread({ stateDbPath: join(directory, 'a.sqlite'), mode: 'paper' });
    await ledger.control.start();
    const most = Math.max(...AT_ONCE) * 2;
    const thread = await startExecutionThread({
      ledgerPort: ledger.connect('execution').port,
      settings: {
        risk: {
          ...BENCH_LIMITS,
          maxOpenOrders: most,
          maxOpenOrdersPerSymbol: most,
          maxOrdersPerMinute: 10_000_000,
          maxRepeatedExecutions: 10_000_000,
        },
        rest: { rateLimitRps: RATE, rateLimitBurst: RATE } as never,
      },
    });
    let nextId = 31_840_000_001;
    thread.reply = (seen, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          httpStatusCode: 200,
          data: {
            id: nextId++,
            quantity: seen.body.quantity,
            price: seen.body.price,
            stopPrice: null,
            newOrderClientId: seen.body.newOrderClientId,
            type: seen.body.orderType,
            method: 'limit',
            pairSymbol: seen.body.pairSymbol,
            pairSymbolNormalized: 'BTC_TRY',
            datetime: Date.now(),
          },
          success: true,
          message: 'SUCCESS',
          code: 0,
        }),
      );
    };
    const reached = watchOrders(thread);
    try {
      await burst(thread, reached, tiny ? 1 : INTENTS, 1);
      const taken = await inTurns(
        {
          at1: async () => [await burst(thread, reached, intents, 1)],
          at8: async () => [await burst(thread, reached, intents, 8)],
          at32: async () => [await burst(thread, reached, intents, 32)],
        },
        rounds,
      );
      const row = (atOnce: number, of: Rounds): string[] => {
        const rates = of.flat();
        return [
          String(atOnce),
          figure(median(rates)),
          figure(Math.min(...rates)),
          figure(Math.max(...rates)),
        ];
      };
      return {
        tables: [
          {
            head: ['At once', 'intents/s, median', 'slowest round', 'fastest round'],
            rows: AT_ONCE.map(atOnce => row(atOnce, taken[`at${atOnce}`])),
          },
        ],
        remarks: [
          `${intents} intents a round. With one at once this is the whole way there and back, one intent after the other; with more, commits are shared.`,
        ],
      };
    } finally {
      await thread.drain();
      await ledger.control.drain();
      await ledger.exited;
      rmSync(directory, { recursive: true, force: true });
    }
  },
};
