import { defineStrategy } from '../domain/strategy.js';

/** Watches and never trades: for the first hours with a new venue, key or machine. */
export const observe = defineStrategy({
  name: 'observe',
  about: 'Watches the market and never trades.',
  parameters: {},
  create: () => ({}),
});
