/** A long time of orders and cancels through the execution brain, its budget and the adapter alone, under virtual time. */
import { parseDecimal } from '#src/domain/money.js';
import type { ClientOrderId } from '#src/domain/order.js';
import { CATALOGUE } from '#src/exchange/instruments.js';
import { randomStream } from '#src/exchange/random.js';
import { DEFAULT_LATENCY } from '#src/exchange/venue-state.js';
import { DEFAULT_LATENCIES } from '#src/simulation/latencies.js';
import { createSimRest, NORMAL } from '#src/simulation/sim-rest.js';
import { createSimVenue } from '#src/simulation/sim-venue.js';
import { createVirtualTime, START_MONO_MS } from '#src/simulation/virtual-time.js';
import { accountOf, BENCH_LIMITS, Bench } from '../domain/execution-bench.js';
import { limitTerms } from '../domain/orders.js';
import { INTERVAL_MS, RequestCount } from './request-count.js';

const SYMBOL = 'BTCTRY';
const START_WALL_MS = 1_790_133_600_000;
const CREDENTIALS = {
  apiKey: 'write-day',
  apiSecret: Buffer.from('no real secret of anybody').toString('base64'),
};
/** The bench's books stand at 100; an order there is far from every trade. */
const MARKET = parseDecimal('100');
const TERMS = { price: parseDecimal('90'), quantity: parseDecimal('5') };
const TICK_MS = 50;
const ACCOUNT_EVERY_MS = 5_000;
/** From an acknowledgement to the wish to cancel, and from a queued cancel to the venue's word on its end. */
const REST_MS = 400;
const END_MS = 60;

export interface WriteDay {
  readonly count: RequestCount;
  readonly denied: number;
}

export const writeDay = (minutes: number, seed: number): WriteDay => {
  const time = createVirtualTime(START_WALL_MS);
  const count = new RequestCount();
  const listings = CATALOGUE.filter(({ symbol }) => symbol === SYMBOL);
  const venue = createSimVenue(time, {
    seed,
    listings,
    sources: new Map([[SYMBOL, 'generated']]),
    authentication: 'check',
    keepalive: 'ping',
    latency: DEFAULT_LATENCY,
    bookIntervalMs: 100,
    accounts: [],
    prices: new Map([[SYMBOL, MARKET]]),
    history: false,
    faults: [],
  });
  venue.admin({
    type: 'open-account',
    ...CREDENTIALS,
    feeLevel: 1,
    balances: new Map([['TRY', parseDecimal('1000000')]]),
  });
  venue.admin({ type: 'market-pace', pace: 0.001 });
  count.watch(venue, () => time.now().monoMs);
  const rest = createSimRest({
    time,
    random: randomStream(seed, 12),
    latencies: DEFAULT_LATENCIES.network,
    venue,
    credentials: CREDENTIALS,
    fateOf: () => NORMAL,
    isAlive: () => true,
    whenAwake: run => run(),
  });
  const bench = new Bench(
    {
      limits: {
        ...BENCH_LIMITS,
        maxOpenOrders: 60,
        maxOpenOrdersPerSymbol: 60,
        maxOrdersPerMinute: 10_000,
        maxRepeatedExecutions: 10_000,
      },
    },
    undefined,
    START_MONO_MS,
  ).ready();
  let denied = 0;

  /** Lets the brain know the time, takes what it asks for, and forgets it. */
  const act = (step: () => void): void => {
    bench.monoMs = time.now().monoMs;
    step();
    // The journal answers at once: what is measured is what the budget lets out.
    for (let asked = bench.appends(); asked.length > 0; asked = bench.appends()) {
      const writes = bench.writes();
      denied += bench.denials().length;
      bench.forget();
      for (const write of writes) send(write);
      for (const { batch, durable } of asked)
        if (durable) bench.step({ type: 'message', from: 'ledger', message: { type: 'appended', batch } });
    }
    const writes = bench.writes();
    denied += bench.denials().length;
    bench.forget();
    for (const write of writes) send(write);
  };

  const send = ({ write }: ReturnType<Bench['writes']>[number]): void => {
    const instrument = bench.state.instruments.get(SYMBOL);
    if (instrument === undefined) throw new Error('the instrument is not known');
    const { clientOrderId, type: kind } = write;
    rest.write(
      write,
      instrument,
      {
        beforeBytes: () => {
          act(() => bench.sent(clientOrderId, kind));
          return null;
        },
      },
      outcome => {
        if (kind === 'submit' && outcome.type !== 'queued') {
          act(() => bench.submitted(clientOrderId, outcome));
          if (outcome.type === 'confirmed')
            time.after(REST_MS, 'cancel', () => act(() => bench.cancel(clientOrderId)));
        } else if (kind === 'cancel' && outcome.type !== 'confirmed') {
          act(() => bench.canceled(clientOrderId, outcome));
          if (outcome.type === 'queued') time.after(END_MS, 'end', () => act(() => report(clientOrderId)));
        }
      },
    );
  };

  /** The venue's word on an order, as reconciliation would pass it on. */
  const report = (clientOrderId: ClientOrderId): void => {
    const tracked = bench.state.open.get(clientOrderId);
    if (tracked === undefined) return;
    const venueOrderId = tracked.record.venueOrderId ?? '';
    const order = venue.account(CREDENTIALS.apiKey).orders.get(Number(venueOrderId));
    if (order === undefined || order.status !== 'canceled') {
      time.after(END_MS, 'end', () => act(() => report(clientOrderId)));
      return;
    }
    bench.account({
      type: 'order-reported',
      id: 'reconciliation:1:9',
      cause: 'read',
      clientOrderId,
      asOfMonoMs: bench.monoMs,
      report: {
        venueOrderId,
        clientOrderId,
        symbol: SYMBOL,
        side: 'buy',
        method: 'limit',
        price: order.price,
        quantity: order.quantity,
        remaining: order.remaining,
        status: 'canceled',
        createdAtMs: order.createdAtMs,
        updatedAtMs: order.updatedAtMs,
      },
    });
  };

  const every = (ms: number, what: string, run: () => void): void => {
    time.after(ms, what, () => {
      act(run);
      every(ms, what, run);
    });
  };
  every(TICK_MS, 'tick', () => bench.step({ type: 'tick' }));
  every(1_000, 'book', () => bench.books());
  every(ACCOUNT_EVERY_MS, 'account', () => bench.account(accountOf({ balancesAsOfMonoMs: bench.monoMs })));
  every(INTERVAL_MS, 'intent', () => bench.place(limitTerms(TERMS)));

  const until = START_MONO_MS + minutes * 60_000;
  while (time.next(until));
  return { count, denied };
};
