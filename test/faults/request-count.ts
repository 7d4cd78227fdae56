/** What an exchange sees of a client's haste: every request, in every window of each of its limits. */
import { BUDGET_SHARE, type Bucket, VENUE_LIMITS } from '#src/domain/request-budget.js';
import type { VenueHttp } from '#src/simulation/sim-rest.js';
import type { Row } from './part.js';

/** As often as BTCTURK_RATE_LIMIT_RPS would let an order out for a second; the minute's limit allows half of that. */
export const INTERVAL_MS = 125;

/** Endpoints by the bucket that the bot counts them in; both cash lists have the same limit, each its own. */
const ENDPOINTS: readonly (readonly [name: string, bucket: Bucket, matches: RegExp])[] = [
  ['submit', 'submit', /^POST \/api\/v1\/order$/],
  ['cancel', 'cancel', /^DELETE \/api\/v1\/order$/],
  ['order by id', 'order-query', /^GET \/api\/v1\/order\/\d+$/],
  ['open orders', 'open-orders', /^GET \/api\/v1\/openOrders$/],
  ['all orders', 'all-orders', /^GET \/api\/v1\/allOrders$/],
  ['trades', 'trades', /^GET \/api\/v1\/users\/transactions\/trade$/],
  ['crypto movements', 'cash-movements', /^GET \/api\/v1\/users\/transactions\/crypto$/],
  ['fiat movements', 'cash-movements', /^GET \/api\/v1\/users\/transactions\/fiat$/],
  ['balances', 'balances', /^GET \/api\/v1\/users\/balances$/],
  ['ticker', 'ticker', /^GET \/api\/v2\/ticker$/],
  ['server time', 'server-time', /^GET \/api\/v2\/server\/time$/],
  ['exchange info', 'instruments', /^GET \/api\/v2\/server\/exchangeinfo$/],
];

/** How full a limit's window ever was, wherever the window began. */
class Window {
  fullest = 0;
  private readonly times: number[] = [];
  private head = 0;
  readonly requests: number;
  private readonly windowMs: number;

  constructor(requests: number, windowMs: number) {
    this.requests = requests;
    this.windowMs = windowMs;
  }

  add(atMs: number): void {
    this.times.push(atMs);
    while ((this.times[this.head] ?? atMs) <= atMs - this.windowMs) this.head += 1;
    this.fullest = Math.max(this.fullest, this.times.length - this.head);
    if (this.head < 4_096) return;
    this.times.splice(0, this.head);
    this.head = 0;
  }

  get share(): number {
    return this.fullest / this.requests;
  }
}

interface Endpoint {
  readonly name: string;
  requests: number;
  readonly windows: readonly Window[];
}

/** Counts every request that reaches an exchange, and every 429 that leaves it. */
export class RequestCount {
  readonly endpoints: readonly Endpoint[] = ENDPOINTS.map(([name, bucket]) => ({
    name,
    requests: 0,
    windows: VENUE_LIMITS[bucket].map(({ requests, windowMs }) => new Window(requests, windowMs)),
  }));
  /** Requests that no endpoint above stands for. */
  readonly strange = new Set<string>();
  refused = 0;

  /** Stands between an exchange and whoever asks it. */
  watch(venue: VenueHttp, monoMs: () => number): void {
    const { http } = venue;
    Object.assign(venue, {
      http: (request: Parameters<typeof http>[0], onReply: Parameters<typeof http>[1]): void => {
        this.count(`${request.method} ${request.path}`, monoMs());
        http(request, reply => {
          if (reply?.status === 429) this.refused += 1;
          onReply(reply);
        });
      },
    });
  }

  private count(words: string, atMs: number): void {
    const endpoint = this.endpoints[ENDPOINTS.findIndex(([, , matches]) => matches.test(words))];
    if (endpoint === undefined) {
      this.strange.add(words);
      return;
    }
    endpoint.requests += 1;
    for (const window of endpoint.windows) window.add(atMs);
  }

  requestsTo(name: string): number {
    return this.endpoints.find(endpoint => endpoint.name === name)?.requests ?? 0;
  }

  /** What was over the share of a limit that the bot allows itself, or refused. */
  get contradictions(): readonly string[] {
    return [
      ...(this.refused === 0 ? [] : [`${this.refused} requests were refused with 429`]),
      ...this.endpoints.flatMap(({ name, windows }) =>
        windows
          .filter(({ share }) => share > BUDGET_SHARE)
          .map(({ fullest, requests }) => `${name}: ${fullest} requests in a window of ${requests}`),
      ),
      ...[...this.strange].map(words => `a request that nobody counts: ${words}`),
    ];
  }

  get rows(): readonly Row[] {
    return this.endpoints
      .filter(({ requests }) => requests > 0)
      .map(({ name, windows }) => [
        `fullest windows: ${name}`,
        'within 80 %',
        windows.map(({ fullest, requests }) => `${fullest} of ${requests}`).join(', '),
      ]);
  }
}
