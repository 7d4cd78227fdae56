/** The built-in strategies, by the name an operator writes into `STRATEGY`. */
import type { StrategyDefinition } from '../domain/strategy.js';
import { maker } from './maker.js';
import { observe } from './observe.js';
import { pulse } from './pulse.js';

export const STRATEGIES: readonly StrategyDefinition[] = [observe, maker, pulse];

export const findStrategy = (name: string): StrategyDefinition | undefined =>
  STRATEGIES.find(strategy => strategy.name === name);
