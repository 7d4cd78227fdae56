/** The exchange's step function under virtual time, with one account, for tests. */
import { createHmac } from 'node:crypto';
import { type Amount, parseDecimal } from '#src/domain/money.js';
import type { Account } from '#src/exchange/accounts.js';
import { parseFault } from '#src/exchange/faults.js';
import { CATALOGUE, type Listing } from '#src/exchange/instruments.js';
import { initialVenue, nextWakeMs, stepVenue } from '#src/exchange/venue.js';
import {
  type AdminCommand,
  DEFAULT_LATENCY,
  type MarketActivity,
  type MarketSource,
  type VenueConfig,
  type VenueEffect,
  type VenueInput,
  type VenueState,
} from '#src/exchange/venue-state.js';

/** The protocol document's first key pair. */
export const KEY = '11111111-2222-3333-4444-555555555555';
export const SECRET = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
export const OTHER_KEY = 'test-public-key';
export const OTHER_SECRET = 'dGVzdC1zZWNyZXQta2V5LWZvci11bml0LXRlc3Rz';
export const START_MS = 1_790_133_600_000;

export const sign = (secret: string, text: string): string =>
  createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest('base64');

export const amounts = (text: Readonly<Record<string, string>>): ReadonlyMap<string, Amount> =>
  new Map(Object.entries(text).map(([asset, amount]) => [asset, parseDecimal(amount)]));

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The parsed body; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: replies are compared field by field with literal values
  readonly json: any;
}

export interface Frame {
  readonly model: number;
  // biome-ignore lint/suspicious/noExplicitAny: frames are compared field by field with literal values
  readonly payload: any;
  readonly text: string;
}

export interface Harness {
  readonly venue: VenueState;
  nowMs(): number;
  step(input: VenueInput): readonly VenueEffect[];
  /** Lets time pass in steps of at most 10 ms, or to each thing that is due. */
  advance(ms: number): void;
  /** Lets time pass in one leap: the venue catches up afterwards. */
  leap(ms: number): void;
  /** A signed request, carried out at once; time passes until it is answered, at most `waitMs`. */
  call(method: string, path: string, body?: unknown, options?: CallOptions): Reply | undefined;
  admin(command: AdminCommand): string | undefined;
  fault(text: string): void;
  calm(): void;
  connect(): string;
  login(socketId: string, apiKey?: string, secret?: string): void;
  join(socketId: string, channel: string, event: string, join?: boolean): void;
  /** Frames of a socket since the last call, of these models or all. */
  frames(socketId: string, ...models: readonly number[]): Frame[];
  closed(socketId: string): { readonly code: number; readonly abrupt: boolean } | undefined;
  account(apiKey?: string): Account;
  /** Every effect so far. */
  readonly effects: readonly VenueEffect[];
  market(symbol: string, activity: MarketActivity): void;
}

export interface CallOptions {
  readonly apiKey?: string;
  readonly secret?: string;
  readonly stampMs?: number;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly rawBody?: string;
  readonly waitMs?: number;
  readonly ip?: string;
}

export interface HarnessOptions {
  readonly sources?: Readonly<Record<string, MarketSource>>;
  readonly listings?: readonly Listing[];
  readonly seed?: number;
  readonly config?: Partial<VenueConfig>;
  readonly balances?: Readonly<Record<string, string>>;
  readonly faults?: readonly string[];
  /** Leave out the account of {@link KEY}. */
  readonly noAccount?: boolean;
}

export const harness = (options: HarnessOptions = {}): Harness => {
  let monoMs = 1_000;
  const now = () => ({ monoMs, wallMs: START_MS + monoMs });
  let venue = initialVenue({
    seed: options.seed ?? 1,
    listings: options.listings ?? CATALOGUE,
    sources: new Map(Object.entries(options.sources ?? {})),
    authentication: 'check',
    keepalive: 'off',
    latency: DEFAULT_LATENCY,
    bookIntervalMs: 100,
    accounts: [],
    prices: new Map(),
    history: false,
    faults: (options.faults ?? []).map(parseFault),
    ...options.config,
  });
  const effects: VenueEffect[] = [];
  const queues = new Map<string, Frame[]>();
  const ended = new Map<string, { readonly code: number; readonly abrupt: boolean }>();
  let serial = 0;

  const step = (input: VenueInput): readonly VenueEffect[] => {
    const stepped = stepVenue(venue, input, now());
    venue = stepped.state;
    for (const effect of stepped.effects) {
      effects.push(effect);
      if (effect.type === 'accept-socket') queues.set(effect.socketId, []);
      if (effect.type === 'frame') queues.get(effect.socketId)?.push(readFrame(effect.text));
      if (effect.type === 'close-socket') ended.set(effect.socketId, effect);
    }
    return stepped.effects;
  };
  const advance = (ms: number): void => {
    const untilMs = monoMs + ms;
    while (monoMs < untilMs) {
      const dueMs = nextWakeMs(venue) ?? untilMs;
      monoMs = Math.min(untilMs, Math.max(monoMs, dueMs));
      step({ type: 'tick' });
    }
  };
  const replyTo = (requestId: string): Reply | undefined => {
    const effect = effects.find(candidate => candidate.type === 'reply' && candidate.requestId === requestId);
    if (effect?.type !== 'reply') return undefined;
    return { status: effect.status, headers: effect.headers, body: effect.body, json: tryJson(effect.body) };
  };

  const self: Harness = {
    get venue() {
      return venue;
    },
    nowMs: () => START_MS + monoMs,
    step,
    advance,
    leap(ms) {
      monoMs += ms;
      step({ type: 'tick' });
    },
    call(method, path, body, { apiKey = KEY, secret = SECRET, ...call } = {}) {
      const stamp = String(call.stampMs ?? START_MS + Math.floor(monoMs));
      const [where = '', query = ''] = path.split('?');
      const requestId = `test-${++serial}`;
      step({
        type: 'http',
        requestId,
        method,
        path: where,
        query,
        headers: {
          'x-pck': apiKey,
          'x-stamp': stamp,
          'x-signature': sign(secret, `${apiKey}${stamp}`),
          'content-type': 'application/json',
          ...call.headers,
        },
        body: call.rawBody ?? (body === undefined ? '' : JSON.stringify(body)),
        ip: call.ip ?? '127.0.0.1',
      });
      for (let waited = 0; waited < (call.waitMs ?? 0) && replyTo(requestId) === undefined; waited += 10)
        advance(10);
      return replyTo(requestId);
    },
    admin(command) {
      const refused = step({ type: 'admin', command }).find(effect => effect.type === 'refused');
      return refused?.type === 'refused' ? refused.reason : undefined;
    },
    fault: text => {
      step({ type: 'admin', command: { type: 'set-fault', fault: parseFault(text) } });
    },
    calm: () => {
      step({ type: 'admin', command: { type: 'clear-faults' } });
    },
    connect() {
      const socketId = `socket-${++serial}`;
      step({ type: 'socket-requested', socketId, ip: '127.0.0.1' });
      return socketId;
    },
    login(socketId, apiKey = KEY, secret = SECRET) {
      const payload = {
        type: 114,
        publicKey: apiKey,
        timestamp: START_MS + Math.floor(monoMs),
        nonce: 15_000,
        signature: sign(secret, `${apiKey}15000`),
      };
      step({ type: 'socket-frame', socketId, text: JSON.stringify([114, payload]) });
    },
    join(socketId, channel, event, join = true) {
      step({
        type: 'socket-frame',
        socketId,
        text: JSON.stringify([151, { type: 151, channel, event, join }]),
      });
    },
    frames(socketId, ...models) {
      const queue = queues.get(socketId) ?? [];
      const all = queue.splice(0, queue.length);
      return models.length === 0 ? all : all.filter(frame => models.includes(frame.model));
    },
    closed: socketId => ended.get(socketId),
    account(apiKey = KEY) {
      const account = venue.accounts.get(apiKey);
      if (account === undefined) throw new Error(`no account ${apiKey}`);
      return account;
    },
    effects,
    market: (symbol, activity) => {
      step({ type: 'market', symbol, activity });
    },
  };
  if (options.noAccount !== true)
    self.admin({
      type: 'open-account',
      apiKey: KEY,
      apiSecret: SECRET,
      feeLevel: 1,
      balances: amounts(
        options.balances ?? { TRY: '1000000', USDT: '50000', BTC: '2', ETH: '20', DOT: '1000' },
      ),
    });
  else step({ type: 'tick' });
  return self;
};

/** An empty recorded market: tests put exactly what they need into it. */
export const book = (
  bids: readonly (readonly [string, string])[],
  asks: readonly (readonly [string, string])[],
  whole = true,
): MarketActivity => ({
  type: 'book',
  whole,
  bids: bids.map(([price, total]) => ({ price: parseDecimal(price), total: parseDecimal(total) })),
  asks: asks.map(([price, total]) => ({ price: parseDecimal(price), total: parseDecimal(total) })),
});

export const trade = (side: 'buy' | 'sell', price: string, quantity: string): MarketActivity => ({
  type: 'trade',
  tradeId: 'recorded',
  price: parseDecimal(price),
  quantity: parseDecimal(quantity),
  side,
});

/** A harness with one recorded market and a plain book in it: best bid 77000, best ask 77010. */
export const quietHarness = (options: HarnessOptions = {}): Harness => {
  const self = harness({
    sources: { BTCUSDT: 'recorded' },
    listings: CATALOGUE.filter(listing => listing.symbol === 'BTCUSDT'),
    ...options,
  });
  self.market(
    'BTCUSDT',
    book(
      [
        ['77000', '0.5'],
        ['76990', '1'],
        ['76000', '3'],
      ],
      [
        ['77010', '0.4'],
        ['77020', '1'],
        ['78000', '2'],
      ],
    ),
  );
  return self;
};

/** A limit order on BTCUSDT; the reply's order id. */
export const limit = (
  self: Harness,
  side: 'buy' | 'sell',
  price: string,
  quantity: string,
  extra: Readonly<Record<string, unknown>> = {},
  options: CallOptions = {},
): number => {
  const reply = self.call(
    'POST',
    '/api/v1/order',
    { pairSymbol: 'BTCUSDT', orderType: side, orderMethod: 'limit', price, quantity, ...extra },
    options,
  );
  if (reply?.status !== 200) throw new Error(`refused: ${reply?.body}`);
  return reply.json.data.id;
};

const tryJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

const readFrame = (text: string): Frame => {
  const parsed = tryJson(text);
  if (!Array.isArray(parsed)) return { model: 0, payload: null, text };
  return { model: Number(parsed[0]), payload: parsed[1], text };
};
