/** Every benchmark, in the order of the document. */
import { comparison } from './comparison.js';
import { journal } from './journal.js';
import { marketData } from './market-data.js';
import { moneyPath } from './money-path.js';
import { recovery } from './recovery.js';
import { research } from './research.js';
import type { Section } from './section.js';
import { tickToOrder } from './tick-to-order.js';

export const SECTIONS: readonly Section[] = [
  tickToOrder,
  moneyPath,
  journal,
  recovery,
  marketData,
  comparison,
  research,
];
