/**
 * What participants of a generated market think things are worth: every asset has a fair value in dollars that wanders
 * with clustered volatility, so that pairs agree with each other. Numbers here are floating: they are opinions; what is
 * ordered is on the exact grid.
 */
import { DECIMALS, type Price, type Quantity } from '../domain/money.js';
import { type Listing, priceDecimals } from './instruments.js';
import { normal, type Random, randomStream, uniform } from './random.js';

/** How an asset moves and how thickly it is traded. */
export interface AssetProfile {
  /** Where it starts, US dollars. */
  readonly dollars: number;
  /** Standard deviation of a year's logarithmic return. */
  readonly annualVolatility: number;
  /** Distance of the best quotes from the fair price, basis points. */
  readonly halfSpreadBps: number;
  /** Typical value of one resting order, dollars. */
  readonly orderDollars: number;
}

const PROFILES: Readonly<Record<string, AssetProfile>> = {
  TRY: { dollars: 1 / 48.57, annualVolatility: 0.12, halfSpreadBps: 1, orderDollars: 1_500 },
  USDT: { dollars: 1, annualVolatility: 0.01, halfSpreadBps: 1, orderDollars: 2_500 },
  BTC: { dollars: 77_295, annualVolatility: 0.7, halfSpreadBps: 2.5, orderDollars: 900 },
  ETH: { dollars: 2_415.3, annualVolatility: 0.9, halfSpreadBps: 3, orderDollars: 700 },
  XRP: { dollars: 1.3671, annualVolatility: 1, halfSpreadBps: 4, orderDollars: 600 },
  ADA: { dollars: 0.7157, annualVolatility: 1.1, halfSpreadBps: 5, orderDollars: 350 },
  AAVE: { dollars: 37.1, annualVolatility: 1.2, halfSpreadBps: 6, orderDollars: 300 },
  DOT: { dollars: 4.21, annualVolatility: 1.1, halfSpreadBps: 6, orderDollars: 300 },
  GLM: { dollars: 0.2143, annualVolatility: 1.3, halfSpreadBps: 12, orderDollars: 150 },
  HNT: { dollars: 2.4187, annualVolatility: 1.3, halfSpreadBps: 12, orderDollars: 150 },
  MEME: { dollars: 0.001_342, annualVolatility: 1.6, halfSpreadBps: 12, orderDollars: 120 },
};
const PLAIN: AssetProfile = { dollars: 1, annualVolatility: 1, halfSpreadBps: 8, orderDollars: 200 };

/** Fair values move this often, ms. */
export const FAIR_STEP_MS = 100;
const YEAR_MS = 365 * 86_400_000;
/** Part of an asset's movement that all assets share. */
const COMMON = 0.7;
/** Wildness returns to the usual in about ten minutes, and strays by this much a step. */
const WILDNESS_RETURNS_MS = 600_000;
const WILDNESS_STEP = 0.011;
/** Mean time between jumps, and how many times a step they are. */
const JUMP_EVERY_MS = 1_200_000;
const JUMP_SIZE = 12;

interface AssetState {
  readonly profile: AssetProfile;
  logDollars: number;
}

export interface FairValues {
  readonly random: Random;
  readonly assets: Map<string, AssetState>;
  /** Logarithm of how much wilder than usual things are. */
  logWildness: number;
}

export const newFairValues = (seed: number, listings: readonly Listing[]): FairValues => {
  const assets = new Map<string, AssetState>();
  for (const listing of listings)
    for (const asset of [listing.base, listing.quote])
      if (!assets.has(asset)) {
        const profile = PROFILES[asset] ?? PLAIN;
        assets.set(asset, { profile, logDollars: Math.log(profile.dollars) });
      }
  return { random: randomStream(seed, 1), assets, logWildness: 0 };
};

/** The price thought right for a pair, in quote. */
export const fairPrice = (fair: FairValues, listing: Listing): number =>
  Math.exp(assetOf(fair, listing.base).logDollars - assetOf(fair, listing.quote).logDollars);

/** Moves the fair price of a pair, and of every pair that shares its base. */
export const shockFairPrice = (fair: FairValues, listing: Listing, factor: number): void => {
  assetOf(fair, listing.base).logDollars += Math.log(factor);
};

/** Half the spread participants leave around the fair price of a pair, basis points. */
export const halfSpreadBps = (fair: FairValues, listing: Listing): number =>
  assetOf(fair, listing.base).profile.halfSpreadBps;

/** Typical base quantity of one order. */
export const usualQuantity = (fair: FairValues, listing: Listing): number => {
  const base = assetOf(fair, listing.base);
  const { orderDollars } = assetOf(fair, listing.quote).profile;
  return Math.min(base.profile.orderDollars, orderDollars) / Math.exp(base.logDollars);
};

/** Standard deviation of a year's return of a pair. */
export const annualVolatility = (fair: FairValues, listing: Listing): number =>
  assetOf(fair, listing.base).profile.annualVolatility;

/** One step of every fair value. */
export const stepFairValues = (fair: FairValues): void => {
  const { random } = fair;
  fair.logWildness +=
    (-fair.logWildness * FAIR_STEP_MS) / WILDNESS_RETURNS_MS + WILDNESS_STEP * normal(random);
  const wildness = Math.exp(fair.logWildness);
  const jump = uniform(random) < FAIR_STEP_MS / JUMP_EVERY_MS ? JUMP_SIZE : 1;
  const common = normal(random);
  for (const state of fair.assets.values()) {
    const sigma = state.profile.annualVolatility * Math.sqrt(FAIR_STEP_MS / YEAR_MS) * wildness * jump;
    state.logDollars += sigma * (COMMON * common + Math.sqrt(1 - COMMON ** 2) * normal(random));
  }
};

/** Nearest price on the grid; at least one step. */
export const gridPrice = (listing: Listing, value: number, rounding: 'down' | 'up' = 'down'): Price => {
  const scale = priceDecimals(listing);
  const steps = rounding === 'down' ? Math.floor(value * 10 ** scale) : Math.ceil(value * 10 ** scale);
  return BigInt(Math.max(1, steps)) * 10n ** BigInt(DECIMALS - scale);
};

/** Nearest quantity on the grid; at least one step. */
export const gridQuantity = (listing: Listing, value: number): Quantity =>
  BigInt(Math.max(1, Math.round(value * 10 ** listing.quantityScale))) *
  10n ** BigInt(DECIMALS - listing.quantityScale);

const assetOf = (fair: FairValues, asset: string): AssetState => {
  const state = fair.assets.get(asset);
  if (state === undefined) throw new Error(`the market generator does not know ${asset}`);
  return state;
};
