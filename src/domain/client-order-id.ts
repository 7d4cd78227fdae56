import type { ClientOrderId } from './order.js';

/**
 * Client order ids are labels the venue neither checks nor makes unique (protocol section 6.5), so they carry their own
 * proof of origin: `bb-<instance>-<epoch>-<strategy>-<sequence>`, epoch and sequence in base 36.
 *
 * - `instance` names the database, so that two bots on one account tell their orders apart;
 * - `epoch` is raised durably for each incarnation of the execution actor and is never behind the clock, so that an id is
 *   never given twice, not even after an older backup was put back;
 * - `strategy` is for people;
 * - `sequence` counts within the epoch.
 */

/** Longest label the venue accepts (protocol section 5.8). */
export const CLIENT_ORDER_ID_MAX_LENGTH = 50;
const INSTANCE_LENGTH = 12;
const STRATEGY_LENGTH = 12;
const PATTERN = /^bb-([a-z0-9]{1,12})-([0-9a-z]{1,10})-([a-z0-9]{1,12})-([0-9a-z]{1,10})$/;

/** The parts of one of our ids. */
export interface ClientOrderIdParts {
  readonly instance: string;
  readonly epoch: number;
  readonly strategy: string;
  readonly sequence: number;
}

/** Whose label an order at the venue carries. */
export type OrderOrigin =
  /** Made by this incarnation. */
  | 'this-epoch'
  /** Made by an earlier incarnation on the same database. */
  | 'older-epoch'
  /** Made on the same database by somebody who started after us: we are the ones who must stop. */
  | 'newer-epoch'
  /** Made by another btcbot database. */
  | 'other-instance'
  /** A person's, another program's, or no label at all. */
  | 'foreign';

/** Lower-case letters and digits of `text`, shortened; `x` when nothing is left. */
const tag = (text: string, length: number): string => {
  const safe = text
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .slice(0, length);
  return safe === '' ? 'x' : safe;
};

/** How a strategy's name appears in a label: strategies that run side by side must differ in it. */
export const strategyTag = (name: string): string => tag(name, STRATEGY_LENGTH);

/** The strategy of a label of ours, or null: without the other parts, for long lists of them. */
export const strategyTagIn = (label: string): string | null => PATTERN.exec(label)?.[3] ?? null;

/** The label of one order; at most {@link CLIENT_ORDER_ID_MAX_LENGTH} characters of `a-z`, `0-9` and `-`. */
export const makeClientOrderId = (parts: ClientOrderIdParts): ClientOrderId => {
  const id = `bb-${tag(parts.instance, INSTANCE_LENGTH)}-${parts.epoch.toString(36)}-${tag(parts.strategy, STRATEGY_LENGTH)}-${parts.sequence.toString(36)}`;
  if (!PATTERN.test(id) || id.length > CLIENT_ORDER_ID_MAX_LENGTH)
    throw new Error(`epoch ${parts.epoch} and sequence ${parts.sequence} do not make a client order id`);
  return id;
};

/** The parts of a label, or null when it is not one of ours. `instance` and `strategy` come back as they were shortened. */
export const parseClientOrderId = (label: string): ClientOrderIdParts | null => {
  const match = PATTERN.exec(label);
  if (match === null) return null;
  const [, instance = '', epoch = '', strategy = '', sequence = ''] = match;
  return {
    instance,
    epoch: Number.parseInt(epoch, 36),
    strategy,
    sequence: Number.parseInt(sequence, 36),
  };
};

/** Tells our own orders, an older self's, another instance's and a human's apart. */
export const originOf = (
  label: string | null,
  self: { readonly instance: string; readonly epoch: number },
): OrderOrigin => {
  const parts = label === null ? null : parseClientOrderId(label);
  if (parts === null) return 'foreign';
  if (parts.instance !== tag(self.instance, INSTANCE_LENGTH)) return 'other-instance';
  if (parts.epoch === self.epoch) return 'this-epoch';
  return parts.epoch < self.epoch ? 'older-epoch' : 'newer-epoch';
};
