/** The built-in strategies, by the name an operator writes into `STRATEGY`. */
import type { StrategyDefinition } from '../domain/strategy.js';
import { canary } from './canary.js';
import { dca } from './dca.js';
import { grid } from './grid.js';
import { maker } from './maker.js';
import { observe } from './observe.js';
import { pulse } from './pulse.js';
import { rebalance } from './rebalance.js';
import { trend } from './trend.js';

export const STRATEGIES: readonly StrategyDefinition[] = [observe, maker, grid, dca, trend, rebalance, pulse];

/** Also the canary, which an operator starts by `btcbot canary` rather than by its name. */
export const findStrategy = (name: string): StrategyDefinition | undefined =>
  [...STRATEGIES, canary].find(strategy => strategy.name === name);
