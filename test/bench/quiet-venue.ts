/**
 * An exchange in this process whose market moves only when it is told to, so that one frame leads to one order, and the
 * two moments that count are taken by one clock: the frame's last word before the socket, the order's first line after.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { parseDecimal } from '#src/domain/money.js';
import { bestLevels } from '#src/exchange/book-feed.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { monoMs } from '#src/runtime/clock.js';

const BALANCES = new Map(
  Object.entries({ TRY: '1000000000', BTC: '100', ETH: '1000', AAVE: '10000' }).map(([asset, amount]) => [
    asset,
    parseDecimal(amount),
  ]),
);
/** The bare traders' account: what they do must not concern the bot. */
export const OTHER_ACCOUNT = {
  apiKey: 'bench-other-account',
  apiSecret: Buffer.from('a secret of the bench, not a real one').toString('base64'),
};
const TOUCH = parseDecimal('0.01');
const ANSWER_WITHIN_MS = 10_000;

export interface QuietVenue {
  readonly exchange: RunningExchange;
  /**
   * Changes the best bid of a symbol and waits for the order that follows.
   * @returns ms from handing the frame to the socket to the order's request
   */
  tick(symbol: string, apiKey: string, withinMs?: number): Promise<number>;
  close(): Promise<void>;
}

export const openQuietVenue = async (): Promise<QuietVenue> => {
  const exchange = await startExchange({
    market: { type: 'generated' },
    // None busy: every market stands still until it is touched.
    symbols: [],
    seed: 7,
    balances: BALANCES,
  });
  exchange.admin({ type: 'open-account', ...OTHER_ACCOUNT, feeLevel: 1, balances: BALANCES });
  // The bench asks for more than any limit allows; the bot's own budget is what is measured.
  exchange.admin({ type: 'set-fault', fault: { name: 'no-rate-limits', value: null } as never });

  let awaited: { readonly symbol: string; readonly apiKey: string; sentMs: number | null } | null = null;
  let arrived: ((ms: number) => void) | null = null;
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (this: WebSocket, ...args: unknown[]) {
    const text = args[0];
    if (
      awaited !== null &&
      awaited.sentMs === null &&
      typeof text === 'string' &&
      text.startsWith('[432') &&
      text.includes(`"PS":"${awaited.symbol}"`)
    )
      awaited.sentMs = monoMs();
    Reflect.apply(send, this, args);
  } as typeof send;
  const onRequest = (message: unknown): void => {
    const { request } = message as { readonly request: IncomingMessage };
    if (awaited?.sentMs == null || request.method !== 'POST') return;
    if (request.headers['x-pck'] !== awaited.apiKey || !request.url?.startsWith('/api/v1/order')) return;
    arrived?.(monoMs() - awaited.sentMs);
  };
  subscribe('http.server.request.start', onRequest);

  return {
    exchange,
    tick: (symbol, apiKey, withinMs = ANSWER_WITHIN_MS) =>
      new Promise((resolve, reject) => {
        const market = exchange.venue.markets.get(symbol);
        const best = market === undefined ? undefined : bestLevels(market, 'buy', 1)[0];
        if (best === undefined) throw new Error(`${symbol} has no bid`);
        const late = setTimeout(() => {
          awaited = null;
          reject(new Error(`no order followed a tick of ${symbol} within ${withinMs} ms`));
        }, withinMs);
        awaited = { symbol, apiKey, sentMs: null };
        arrived = ms => {
          clearTimeout(late);
          awaited = null;
          resolve(ms);
        };
        exchange.admin({ type: 'participant', symbol, side: 'buy', price: best.price, quantity: TOUCH });
      }),
    async close() {
      WebSocket.prototype.send = send;
      unsubscribe('http.server.request.start', onRequest);
      await exchange.close();
    },
  };
};
