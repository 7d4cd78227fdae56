/** What the operator of the exchange may see and do: as commands, and as `/admin` paths on loopback. */
import { formatDecimal, tryParseDecimal } from '../domain/money.js';
import { type Account, AccountError, type AccountOrder, openAccount, rememberView } from './accounts.js';
import { signingKey } from './auth.js';
import { shockFairPrice } from './fair-values.js';
import { clearFaults, FAULTS, FaultError, faultFrom, parseFault, setFault } from './faults.js';
import { FEE_LEVELS } from './fees.js';
import { findMarket, unknownPair } from './order-entry.js';
import { json } from './refusals.js';
import { readFields, textField } from './request-body.js';
import { endSocket } from './sockets.js';
import { enterParticipant, removeOrder, takeAsParticipant } from './trading.js';
import {
  type AdminCommand,
  type HttpReply,
  type HttpRequest,
  record,
  serverMs,
  type VenueState,
} from './venue-state.js';
import type { Wire } from './wire.js';

/** @returns why the command cannot be carried out, or `undefined` when it was */
export const carryOut = (venue: VenueState, command: AdminCommand): string | undefined => {
  switch (command.type) {
    case 'open-account':
      return open(venue, command);
    case 'move':
      return withAccount(venue, command.apiKey, account => {
        if (!venue.currencies.some(currency => currency.asset === command.asset))
          return `${command.asset} is not listed`;
        if (command.amount === 0n) return 'an amount of 0 moves nothing';
        try {
          record(venue, account, {
            type: 'moved',
            movementId: venue.nextMovementId++,
            asset: command.asset,
            amount: command.amount,
            atMs: serverMs(venue),
          });
        } catch (error) {
          if (error instanceof AccountError) return error.message;
          throw error;
        }
        return undefined;
      });
    case 'set-fault':
      if (command.fault.name === 'abrupt-drop') {
        for (const session of [...venue.sockets.values()]) endSocket(venue, session, true);
        return undefined;
      }
      setFault(venue.faults, command.fault);
      if (command.fault.name === 'stale-balances' || command.fault.name === 'stale-open-orders')
        for (const account of venue.accounts.values()) rememberView(account, serverMs(venue));
      return undefined;
    case 'clear-faults':
      clearFaults(venue.faults, command.name);
      return undefined;
    case 'shock': {
      const market = venue.markets.get(command.symbol);
      if (market === undefined) return unknownPair(command.symbol);
      shockFairPrice(venue.fair, market.listing, 1 + command.bps / 10_000);
      return undefined;
    }
    case 'market-pace':
      if (!(command.pace > 0)) return 'a pace is above 0';
      venue.marketPace = command.pace;
      return undefined;
    case 'participant': {
      const market = venue.markets.get(command.symbol);
      if (market === undefined) return unknownPair(command.symbol);
      if (command.quantity <= 0n) return 'a quantity is above 0';
      if (command.price === null) takeAsParticipant(venue, market, command.side, null, command.quantity);
      else enterParticipant(venue, market, command.side, command.price, command.quantity);
      return undefined;
    }
    case 'add-key':
      return withAccount(venue, command.apiKey, account => {
        if ([...venue.accounts.values()].some(other => other.keys.has(command.newKey)))
          return `the key ${command.newKey} exists`;
        account.keys.set(command.newKey, signingKey(command.newSecret));
        if (command.madeFor === 'socket') account.socketKeys.add(command.newKey);
        return undefined;
      });
    case 'revoke-key':
      return withAccount(venue, command.apiKey, account => {
        account.socketKeys.delete(command.key);
        return account.keys.delete(command.key) ? undefined : `the account has no key ${command.key}`;
      });
    case 'relist': {
      const market = venue.markets.get(command.listing.symbol);
      if (market === undefined) return unknownPair(command.listing.symbol);
      market.listing = command.listing;
      return undefined;
    }
    case 'pull-order':
      return withAccount(venue, command.apiKey, account => {
        const order = account.open.get(command.orderId);
        if (order === undefined) return `order ${command.orderId} is not open`;
        removeOrder(venue, order, 'pulled by an operator');
        return undefined;
      });
  }
};

/** Answers `/admin/…`: the server lets only loopback come this far. */
export const handleAdmin = (venue: VenueState, request: HttpRequest): HttpReply => {
  const query = new URLSearchParams(request.query);
  const account = venue.accounts.get(query.get('apiKey') ?? '') ?? venue.accounts.values().next().value;
  const route = `${request.method} ${request.path.toLowerCase()}`;
  const done = (problem: string | undefined): HttpReply =>
    problem === undefined ? json(200, { ok: true }) : json(400, { ok: false, problem });
  if (route === 'POST /admin/faults') return setFaultFromRequest(venue, request.body);
  const fields = readFields(request.body === '' ? '{}' : request.body);
  if (fields === undefined) return done('the body is not a JSON object');
  const market = findMarket(venue, textField(fields, 'symbol') ?? '');
  const side = textField(fields, 'side') === 'sell' ? 'sell' : 'buy';
  const decimal = (name: string): bigint | undefined => tryParseDecimal(textField(fields, name) ?? '');
  switch (route) {
    case 'GET /admin/faults':
      return json(200, {
        active: venue.faults.active.map(({ spec, left, struck }) => ({ ...spec, left, struck })),
        known: Object.entries(FAULTS).map(([name, { kind, about, value }]) => ({ name, kind, about, value })),
      });
    case 'DELETE /admin/faults': {
      const name = query.get('name');
      return done(carryOut(venue, { type: 'clear-faults', ...(name === null ? {} : { name }) }));
    }
    case 'GET /admin/account':
      return account === undefined ? done('there is no such account') : json(200, statementOf(account));
    case 'POST /admin/accounts': {
      const apiKey = textField(fields, 'apiKey');
      const apiSecret = textField(fields, 'apiSecret');
      const feeLevel = Number(textField(fields, 'feeLevel') ?? 1);
      if (apiKey === undefined || apiSecret === undefined)
        return done('an account needs {"apiKey": "…", "apiSecret": "<base64>"}');
      return done(
        carryOut(venue, { type: 'open-account', apiKey, apiSecret, feeLevel, balances: new Map() }),
      );
    }
    case 'POST /admin/keys': {
      const newKey = textField(fields, 'newKey');
      const newSecret = textField(fields, 'newSecret');
      if (account === undefined || newKey === undefined || newSecret === undefined)
        return done('a key needs {"newKey": "…", "newSecret": "<base64>"}');
      const madeFor = textField(fields, 'madeFor') === 'socket' ? 'socket' : 'requests';
      return done(carryOut(venue, { type: 'add-key', apiKey: account.apiKey, newKey, newSecret, madeFor }));
    }
    case 'DELETE /admin/keys':
      return account === undefined
        ? done('there is no such account')
        : done(carryOut(venue, { type: 'revoke-key', apiKey: account.apiKey, key: query.get('key') ?? '' }));
    case 'POST /admin/deposit': {
      const amount = decimal('amount');
      const asset = textField(fields, 'asset')?.toUpperCase();
      if (account === undefined || amount === undefined || asset === undefined)
        return done('a deposit needs {"asset": "TRY", "amount": "1000"}');
      return done(carryOut(venue, { type: 'move', apiKey: account.apiKey, asset, amount }));
    }
    case 'POST /admin/shock': {
      const bps = Number(textField(fields, 'bps'));
      if (market === undefined || !Number.isFinite(bps) || bps <= -10_000)
        return done('a shock needs {"symbol": "BTCTRY", "bps": -50}');
      return done(carryOut(venue, { type: 'shock', symbol: market.listing.symbol, bps }));
    }
    case 'POST /admin/participant': {
      const quantity = decimal('quantity');
      if (market === undefined || quantity === undefined)
        return done(
          'a participant needs {"symbol": "BTCTRY", "side": "sell", "quantity": "0.1", "price": "…"}',
        );
      const price = decimal('price') ?? null;
      return done(
        carryOut(venue, { type: 'participant', symbol: market.listing.symbol, side, price, quantity }),
      );
    }
    case 'POST /admin/listing': {
      const status = textField(fields, 'status');
      if (market === undefined || status === undefined)
        return done(
          'a listing needs {"symbol": "BTCTRY", "status": "TRADING"}; the status NONE takes it off the list',
        );
      const listing = { ...market.listing, status: status === 'NONE' ? null : status };
      return done(carryOut(venue, { type: 'relist', listing }));
    }
    case 'POST /admin/pull-order': {
      const orderId = Number(textField(fields, 'id'));
      if (account === undefined || !Number.isSafeInteger(orderId))
        return done('pulling needs {"id": 31840000001}');
      return done(carryOut(venue, { type: 'pull-order', apiKey: account.apiKey, orderId }));
    }
    default:
      return { status: 404, headers: {}, body: '' };
  }
};

/** An account to the last digit: what a person compares with the bot's own books. Newest last. */
export const statementOf = (account: Account): Wire => ({
  apiKey: account.apiKey,
  userId: account.userId,
  feeLevel: account.feeLevel,
  balances: [...account.holdings].map(([asset, held]) => ({
    asset,
    total: formatDecimal(held.total),
    free: formatDecimal(held.total - held.locked),
    locked: formatDecimal(held.locked),
  })),
  movements: account.movements.map(movement => ({
    id: movement.movementId,
    asset: movement.asset,
    amount: formatDecimal(movement.amount),
    at: new Date(movement.atMs).toISOString(),
  })),
  orders: [...account.orders.values()].map(orderStatement),
  trades: account.trades.map(trade => ({
    tradeId: String(trade.tradeId),
    orderId: trade.order.orderId,
    clientOrderId: trade.order.clientOrderId,
    symbol: trade.order.symbol,
    side: trade.order.side,
    price: formatDecimal(trade.price),
    quantity: formatDecimal(trade.quantity),
    fee: formatDecimal(trade.fee),
    tax: formatDecimal(trade.tax),
    feeAsset: trade.order.quote,
    liquidity: trade.liquidity,
    at: new Date(trade.atMs).toISOString(),
  })),
});

/** The short form, for a status. */
export const statementSummary = (account: Account): Record<string, Wire> => ({
  balances: Object.fromEntries(
    [...account.holdings].map(([asset, held]) => [asset, formatDecimal(held.total)]),
  ),
  openOrders: account.open.size,
  orders: account.orders.size,
  trades: account.trades.length,
});

const orderStatement = (order: AccountOrder): Wire => ({
  orderId: order.orderId,
  clientOrderId: order.clientOrderId,
  symbol: order.symbol,
  side: order.side,
  method: order.method,
  price: formatDecimal(order.price),
  stopPrice: order.stopPrice === null ? null : formatDecimal(order.stopPrice),
  quantity: formatDecimal(order.quantity),
  quoteQuantity: order.quoteQuantity === null ? null : formatDecimal(order.quoteQuantity),
  filled: formatDecimal(order.filled),
  remaining: formatDecimal(order.remaining),
  status: order.status,
  acceptedAt: new Date(order.createdAtMs).toISOString(),
  updatedAt: new Date(order.updatedAtMs).toISOString(),
});

const open = (
  venue: VenueState,
  command: Extract<AdminCommand, { type: 'open-account' }>,
): string | undefined => {
  if (venue.accounts.has(command.apiKey)) return `account ${command.apiKey} exists`;
  if (!(command.feeLevel >= 1 && command.feeLevel <= FEE_LEVELS))
    return `fee level ${command.feeLevel} does not exist: 1 to ${FEE_LEVELS}`;
  const event = {
    type: 'account-opened',
    apiKey: command.apiKey,
    apiSecret: command.apiSecret,
    userId: venue.nextUserId++,
    feeLevel: command.feeLevel,
    atMs: serverMs(venue),
  } as const;
  venue.accounts.set(command.apiKey, openAccount(event));
  venue.effects.push({ type: 'account-event', apiKey: command.apiKey, event });
  for (const [asset, amount] of command.balances) {
    if (amount === 0n) continue;
    const problem = carryOut(venue, { type: 'move', apiKey: command.apiKey, asset, amount });
    if (problem !== undefined) return problem;
  }
  return undefined;
};

const withAccount = (
  venue: VenueState,
  apiKey: string,
  act: (account: Account) => string | undefined,
): string | undefined => {
  const account = venue.accounts.get(apiKey);
  return account === undefined ? `no account has the key ${apiKey}` : act(account);
};

const setFaultFromRequest = (venue: VenueState, body: string): HttpReply => {
  try {
    const parsed = JSON.parse(body) as unknown;
    const fault =
      typeof parsed === 'string'
        ? parseFault(parsed)
        : faultFrom(typeof parsed === 'object' && parsed !== null ? { ...parsed } : {});
    carryOut(venue, { type: 'set-fault', fault });
    return json(200, { ok: true, fault: { ...fault } });
  } catch (error) {
    if (error instanceof FaultError) return json(400, { ok: false, problem: error.message });
    if (error instanceof SyntaxError) return json(400, { ok: false, problem: 'the body is not JSON' });
    throw error;
  }
};
