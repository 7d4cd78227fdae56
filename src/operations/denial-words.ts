/** What each refusal of ours means, and what an operator can do about it. */
import type { DenialCode } from '../domain/order-events.js';

export interface DenialWords {
  readonly means: string;
  readonly remedy: string;
}

/** One row for every code; the compiler refuses a missing one. */
export const DENIAL_WORDS: Readonly<Record<DenialCode, DenialWords>> = {
  'writes-forbidden': {
    means: 'The trading state allows no new order',
    remedy: '`btcbot status` gives the reasons',
  },
  'not-recovered': {
    means: 'Ledger and exchange are not proven equal yet',
    remedy: 'Wait for the event `recovered`; see section 3',
  },
  'mailbox-full': {
    means: 'More intents wait than execution takes',
    remedy: 'Slow the strategy down',
  },
  'symbol-not-allowed': {
    means: 'The pair is not in SYMBOLS',
    remedy: 'Add it, or mend the strategy’s configuration',
  },
  'instrument-unknown': {
    means: 'The exchange does not list the pair, or has not been asked yet',
    remedy: 'Check the name with `btcbot doctor`',
  },
  'not-trading': {
    means: 'The exchange lists the pair as not trading, or lists it no longer',
    remedy: 'None while it lasts: the list is read every minute; take the pair out of SYMBOLS if it stays so',
  },
  'method-not-supported': {
    means: 'The exchange or the bot does not offer this kind of order',
    remedy: 'Use limit or market',
  },
  'intent-expired': {
    means: 'The decision was too old by the time it could be acted on',
    remedy: 'None, when rare; look at the loop delay of the machine when frequent',
  },
  'symbol-blocked': {
    means: 'A hold stands on this pair, or the exchange has closed it for maintenance',
    remedy: '`btcbot status` names the hold, or what is closed',
  },
  'book-missing': { means: 'No book of the pair has arrived', remedy: 'See the playbook on stale data' },
  'book-untrusted': {
    means: 'The book is crossed, one-sided or has a gap',
    remedy: 'None: a new snapshot is on its way',
  },
  'book-stale': {
    means: 'The book is older than MAX_MARKET_DATA_AGE_MS',
    remedy: 'See the playbook on stale data',
  },
  precision: {
    means: 'Price or quantity has more digits than the pair allows, or is not above 0',
    remedy: 'Mend the strategy: it rounds by the instrument',
  },
  'price-outside-window': {
    means: 'The price is outside the exchange’s band around the last price',
    remedy: 'None: the exchange would refuse it',
  },
  'price-outside-collar': {
    means: 'The price is further from the middle than PRICE_COLLAR_BPS, or that limit is unset',
    remedy: 'Check the strategy before the limit',
  },
  'price-drifted': {
    means:
      'The market moved further than PRICE_DRIFT_BPS from where orders were sent in the last ten minutes',
    remedy: 'Look at the market; it passes by itself when ten minutes went by without an order',
  },
  'below-min-notional': {
    means: 'The order is smaller than the exchange takes',
    remedy: 'Raise the order size',
  },
  'quantity-exceeds-limit': {
    means: 'The order is larger than the exchange takes',
    remedy: 'Lower the order size',
  },
  'notional-exceeds-limit': {
    means: 'The order is worth more than MAX_NOTIONAL_PER_ORDER_TRY, or that limit is unset',
    remedy: 'Lower the order size',
  },
  'conversion-rate-missing': {
    means: 'The value in lira cannot be known without a fresh rate',
    remedy: 'Trade a pair of the same asset against lira too',
  },
  'position-exceeds-limit': {
    means: 'The position would be worth more than MAX_POSITION_NOTIONAL_TRY',
    remedy: 'None: the limit works',
  },
  'exposure-exceeds-limit': {
    means: 'All positions and orders would be worth more than MAX_GROSS_EXPOSURE_TRY',
    remedy: 'None: the limit works',
  },
  'open-orders-exceed-limit': {
    means: 'MAX_OPEN_ORDERS would be passed, or there would be more than a minute can cancel',
    remedy: 'None: the limit works',
  },
  'open-orders-per-symbol-exceed-limit': {
    means: 'MAX_OPEN_ORDERS_PER_SYMBOL would be passed',
    remedy: 'None: the limit works',
  },
  'orders-per-minute-exceed-limit': {
    means: 'MAX_ORDERS_PER_MINUTE would be passed',
    remedy: 'None: the limit works',
  },
  'repeated-execution': {
    means: 'The same order again, more than MAX_REPEATED_EXECUTIONS times',
    remedy: 'Look at the strategy before anything else',
  },
  'loss-limit': {
    means: 'MAX_DAILY_LOSS_TRY or MAX_DRAWDOWN_PCT is reached, or profit is not known',
    remedy: 'Look at `btcbot pnl`; the hold waits for an operator',
  },
  'self-trade': {
    means: 'The order would meet our own resting order',
    remedy: 'None: cancel the resting one first',
  },
  'insufficient-balance': {
    means:
      'What is free, less what is reserved, or what the books say we own, less what open orders take, does not cover the order and its fees',
    remedy: '`btcbot balances`',
  },
  'journal-failed': {
    means: 'The intent could not be made durable, so nothing was sent',
    remedy: 'See the section on ledger trouble',
  },
  fenced: {
    means: 'Safety changed between the approval and the first byte, so nothing was sent',
    remedy: 'None: the fence works',
  },
};
