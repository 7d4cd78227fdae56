/**
 * The mode flags and what they add up to (design: safety state). A flag that is not exactly right counts as the safest
 * value and says so; it never stops the start.
 */
import type { Mode } from '../domain/safety.js';
import { type LiveRequirement, requirement } from './live-requirements.js';
import type { RawValue } from './setting-kinds.js';
import { SETTINGS } from './setting-table.js';
import type { ModeFlags } from './settings.js';

/** What was found for one flag. */
export type FlagReading =
  | { readonly type: 'unset' }
  | { readonly type: 'value'; readonly value: boolean }
  | { readonly type: 'malformed'; readonly text: string; readonly where: string };

export const FLAG_NAMES = [
  'SAFE_MODE',
  'DRY_RUN',
  'KILL_SWITCH',
  'LIVE_TRADING',
  'LIVE_TRADING_ACK',
] as const;
export type FlagName = (typeof FLAG_NAMES)[number];
/** For LIVE_TRADING_ACK, true means that the right words were given. */
export type FlagReadings = Readonly<Record<FlagName, FlagReading>>;

export interface ModeDecision {
  readonly flags: ModeFlags;
  readonly mode: Mode;
  /** Every reason why no order of real money may be sent; empty only when the bot is armed. */
  readonly reasons: readonly string[];
  /** What live asks of each flag. */
  readonly flagRequirements: readonly LiveRequirement[];
}

interface FlagOutcome {
  readonly value: boolean;
  /** Set when the value stands in the way of live. */
  readonly reason: string | null;
}

/** The safest value and the one live needs, per flag. */
const FLAG_RULES: Readonly<Record<FlagName, { readonly safest: boolean; readonly live: boolean }>> = {
  SAFE_MODE: { safest: true, live: false },
  DRY_RUN: { safest: true, live: false },
  KILL_SWITCH: { safest: true, live: false },
  LIVE_TRADING: { safest: false, live: true },
  LIVE_TRADING_ACK: { safest: false, live: true },
};

/** What a flag's raw value says; `undefined` is unset. Only the exact words count. */
export const readFlag = (name: FlagName, raw: RawValue | undefined, where: string): FlagReading => {
  if (raw === undefined) return { type: 'unset' };
  const parsed = SETTINGS[name].kind.parse(raw);
  // LIVE_TRADING_ACK has one value, which means yes.
  if (parsed.ok) return { type: 'value', value: parsed.value !== false };
  return { type: 'malformed', text: typeof raw === 'string' ? raw : JSON.stringify(raw), where };
};

const shorten = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);

const judge = (name: FlagName, reading: FlagReading, unsetMeans: boolean): FlagOutcome => {
  const { safest, live } = FLAG_RULES[name];
  const words = (value: boolean): string =>
    name === 'LIVE_TRADING_ACK' ? (value ? 'given' : 'not given') : String(value);
  switch (reading.type) {
    case 'unset':
      return {
        value: unsetMeans,
        reason: unsetMeans === live ? null : `${name} is not set: it counts as ${words(unsetMeans)}`,
      };
    case 'malformed':
      return {
        value: safest,
        reason: `${name} is ${shorten(reading.text)} in ${reading.where}, which is malformed: it counts as ${words(safest)}`,
      };
    case 'value':
      return {
        value: reading.value,
        reason: reading.value === live ? null : `${name} is ${words(reading.value)}`,
      };
  }
};

/**
 * The mode says where writes would go and whose account is watched; what may be written follows from flags, holds and
 * `reasons` (domain/safety.ts). So a live bot that is started again with SAFE_MODE or KILL_SWITCH set still sees its
 * own live ledger and account, and the operator's cancel-all reaches the real orders.
 *
 * On the embedded exchange no real money exists: unset flags let it trade there, set ones still win.
 *
 * @param liveRefusals what else is missing for live: limits, secrets, evidence.
 */
export const decideMode = (
  venue: 'btcturk' | 'paper',
  readings: FlagReadings,
  liveRefusals: readonly string[],
): ModeDecision => {
  const paper = venue === 'paper';
  const outcome = (name: FlagName): FlagOutcome =>
    judge(name, readings[name], paper ? false : FLAG_RULES[name].safest);
  const outcomes = {
    SAFE_MODE: outcome('SAFE_MODE'),
    DRY_RUN: outcome('DRY_RUN'),
    KILL_SWITCH: outcome('KILL_SWITCH'),
    LIVE_TRADING: outcome('LIVE_TRADING'),
    LIVE_TRADING_ACK: outcome('LIVE_TRADING_ACK'),
  } satisfies Record<FlagName, FlagOutcome>;
  const flags: ModeFlags = {
    safeMode: outcomes.SAFE_MODE.value,
    dryRun: outcomes.DRY_RUN.value,
    killSwitch: outcomes.KILL_SWITCH.value,
    liveTrading: outcomes.LIVE_TRADING.value,
    liveAcknowledged: outcomes.LIVE_TRADING_ACK.value,
  };
  const asksForLive = !flags.dryRun && flags.liveTrading && flags.liveAcknowledged;
  const flagReasons = Object.values(outcomes).flatMap(({ reason }) => (reason === null ? [] : [reason]));
  const flagRequirements = FLAG_NAMES.map(name =>
    requirement(name, outcomes[name].reason === null ? [] : [outcomes[name].reason], 'is as live needs it'),
  );
  if (paper)
    return {
      flags,
      flagRequirements,
      mode: 'paper',
      reasons: [
        'VENUE is paper: orders go to the embedded exchange',
        ...flagReasons.filter(reason => !/^LIVE_/.test(reason)),
      ],
    };
  return {
    flags,
    flagRequirements,
    mode: asksForLive ? 'live' : 'dry-run',
    reasons: [...flagReasons, ...(asksForLive ? liveRefusals : [])],
  };
};
