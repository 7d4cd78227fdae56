/** Every condition of live trading, met or not: what preflight prints and a canary insists on. */
import type { LoadedConfig } from '../runtime/config.js';
import { redactFacts, redactorOf } from '../runtime/secrets.js';
import {
  botChecks,
  type Check,
  diskChecks,
  drillCheck,
  isRunningBot,
  ledgerCheck,
  venueChecks,
} from './checks.js';
import { startChecks } from './start-checks.js';

/** Sends nothing but reads, one of them signed. Free of secrets. */
export const armingChecks = async (
  loaded: Extract<LoadedConfig, { readonly ok: true }>,
): Promise<readonly Check[]> => {
  const { settings, credentials, requirements } = loaded;
  const bot = await botChecks(settings);
  const found: readonly Check[] = [
    {
      name: 'VENUE',
      verdict: settings.venue === 'btcturk' ? 'pass' : 'refused',
      detail: settings.venue === 'btcturk' ? 'btcturk' : 'VENUE is paper: nothing is ever live there',
    },
    ...requirements.map(
      ({ name, met, detail }): Check => ({ name, verdict: met ? 'pass' : 'refused', detail }),
    ),
    drillCheck(settings),
    ...diskChecks(settings),
    ledgerCheck(settings),
    // A latch does not keep doctor's patient from being well, but it keeps the bot from trading.
    ...bot.map(
      (check): Check =>
        check.name === 'latches' && check.verdict === 'warn' ? { ...check, verdict: 'refused' } : check,
    ),
    ...(await startChecks(settings, bot.some(isRunningBot))),
    ...(await venueChecks(settings, credentials)),
  ];
  return redactFacts(redactorOf(credentials), found) as readonly Check[];
};

export const isArmed = (checks: readonly Check[]): boolean =>
  checks.every(check => check.verdict !== 'refused');
