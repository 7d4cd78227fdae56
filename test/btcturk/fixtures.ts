/** Instruments, keys and orders shared by the adapter's tests. The key and secret are the protocol document's vectors. */
import type { Instrument } from '#src/domain/instrument.js';
import { parseDecimal } from '#src/domain/money.js';
import type { OrderTerms } from '#src/domain/order.js';
import type { VenueWrite } from '#src/domain/venue-port.js';
import type { ApiCredentials, Endpoints } from '#src/runtime/settings.js';

export const CREDENTIALS: ApiCredentials = {
  apiKey: '11111111-2222-3333-4444-555555555555',
  apiSecret: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
};

export const instrument = (overrides: Partial<Instrument> = {}): Instrument => ({
  symbol: 'BTCUSDT',
  pairId: 19,
  base: 'BTC',
  quote: 'USDT',
  priceScale: 0,
  quantityScale: 8,
  minNotional: parseDecimal('9.91'),
  minPrice: 1n,
  maxPrice: parseDecimal('10000000'),
  minLimitPrice: null,
  maxLimitPrice: null,
  maxQuantity: null,
  methods: ['limit', 'market', 'stop-limit', 'stop-market'],
  status: 'TRADING',
  ...overrides,
});

export const limitTerms = (overrides: Partial<OrderTerms> = {}): OrderTerms => ({
  symbol: 'BTCUSDT',
  side: 'buy',
  method: 'limit',
  price: parseDecimal('77000'),
  quantity: parseDecimal('0.004'),
  quoteQuantity: null,
  stopPrice: null,
  ...overrides,
});

export const submit = (overrides: Partial<OrderTerms> = {}): Extract<VenueWrite, { type: 'submit' }> => ({
  type: 'submit',
  clientOrderId: 'b-1-1',
  terms: limitTerms(overrides),
});

export const cancel = (venueOrderId = '31840022901'): Extract<VenueWrite, { type: 'cancel' }> => ({
  type: 'cancel',
  clientOrderId: 'b-1-1',
  venueOrderId,
});

export const endpointsAt = (url: string): Endpoints => ({
  baseUrl: url,
  graphUrl: url,
  wsUrl: url.replace('http', 'ws'),
});

export const SUBMITTED = JSON.stringify({
  httpStatusCode: 200,
  data: {
    id: 31840022901,
    quantity: '0.004',
    price: '77000',
    stopPrice: null,
    newOrderClientId: 'b-1-1',
    type: 'buy',
    method: 'limit',
    pairSymbol: 'BTCUSDT',
    pairSymbolNormalized: 'BTC_USDT',
    datetime: 1790133590101,
  },
  success: true,
  message: 'SUCCESS',
  code: 0,
});
