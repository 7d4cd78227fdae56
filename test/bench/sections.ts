/** Every benchmark, in the order of the document. */
import { comparison } from './comparison.js';
import { hop } from './hop.js';
import { isolation } from './isolation.js';
import { journal } from './journal.js';
import { marketData } from './market-data.js';
import { moneyPath } from './money-path.js';
import { recovery } from './recovery.js';
import { research } from './research.js';
import type { Section } from './section.js';
import { signal } from './signal.js';
import { soak } from './soak.js';
import { start } from './start.js';
import { tickToOrder } from './tick-to-order.js';

export const SECTIONS: readonly Section[] = [
  tickToOrder,
  hop,
  moneyPath,
  journal,
  recovery,
  start,
  isolation,
  signal,
  marketData,
  comparison,
  research,
  soak,
];
