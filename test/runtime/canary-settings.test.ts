import { expect } from 'chai';
import fc from 'fast-check';
import { fromInteger } from '#src/domain/money.js';
import { checkParameters } from '#src/domain/strategy-parameters.js';
import {
  CANARY_NOTIONAL_MAX_TRY,
  CANARY_ORDERS_PER_MINUTE,
  canarySettings,
} from '#src/runtime/canary-settings.js';
import { loadSettings } from '#src/runtime/config.js';
import type { RiskSettings, Settings } from '#src/runtime/settings.js';
import { canary } from '#src/strategies/canary.js';
import { runs } from '../runs.js';

const loaded = loadSettings({
  env: { SYMBOLS: 'BTCTRY,ETHTRY' },
  cwd: '/home/bot',
  readFile: () => {
    throw new Error('no such file');
  },
  nowMs: 0,
});
if (!loaded.ok) throw new Error('the defaults are refused');
const base: Settings = loaded.settings;

const amount = fc.bigInt({ min: 1n, max: 10_000_000n }).map(fromInteger);
const count = fc.integer({ min: 1, max: 10_000 });
const limits: fc.Arbitrary<RiskSettings> = fc.record({
  maxOpenOrders: count,
  maxOpenOrdersPerSymbol: count,
  maxNotionalPerOrderTry: amount,
  maxPositionNotionalTry: amount,
  maxGrossExposureTry: amount,
  maxDailyLossTry: amount,
  maxDrawdownPct: fc.integer({ min: 1, max: 100 }),
  priceCollarBps: count,
  maxOrdersPerMinute: count,
  maxRepeatedExecutions: count,
});

describe('the settings of a canary', () => {
  it('never give more rights than the operator’s own, and have caps of their own', () => {
    fc.assert(
      fc.property(limits, risk => {
        const { risk: capped } = canarySettings({ ...base, risk }, 'ETHTRY', true);
        for (const name of Object.keys(risk) as (keyof RiskSettings)[])
          expect(capped[name]! <= risk[name]!, name).to.equal(true);
        expect(capped.maxOpenOrders).to.equal(1);
        expect(capped.maxNotionalPerOrderTry! <= CANARY_NOTIONAL_MAX_TRY).to.equal(true);
        expect(capped.maxOrdersPerMinute! <= CANARY_ORDERS_PER_MINUTE).to.equal(true);
      }),
      { numRuns: runs(200) },
    );
  });

  it('leave a limit that is not set unset', () => {
    const risk = { ...base.risk, maxNotionalPerOrderTry: null, maxOrdersPerMinute: null };
    expect(canarySettings({ ...base, risk }, 'BTCTRY', true).risk).to.include({
      maxNotionalPerOrderTry: null,
      maxOrdersPerMinute: null,
    });
  });

  it('trade the chosen symbol first, keep the others in sight, cancel at the stop, and change no address, flag or mode', () => {
    const settings = canarySettings(base, 'ETHTRY', false);
    expect(settings.symbols).to.deep.equal(['ETHTRY', 'BTCTRY']);
    expect(settings.shutdownOpenOrders).to.equal('cancel');
    for (const name of [
      'flags',
      'mode',
      'modeReasons',
      'venue',
      'endpoints',
      'stateDbPath',
      'configHash',
    ] as const)
      expect(settings[name]).to.deep.equal(base[name]);
  });

  it('give its strategy parameters that it takes, also under the narrowest limits', () => {
    for (const risk of [base.risk, { ...base.risk, priceCollarBps: 1, maxOrdersPerMinute: 1 }]) {
      const { strategyConfig } = canarySettings({ ...base, risk }, 'BTCTRY', true);
      expect(checkParameters(canary, strategyConfig).ok).to.equal(true);
    }
    const slow = canarySettings({ ...base, risk: { ...base.risk, maxOrdersPerMinute: 2 } }, 'BTCTRY', true);
    expect(slow.strategyConfig.pauseMs).to.equal(30_000);
  });

  it('run the canary and nothing beside it, whatever the configuration runs', () => {
    const list = [
      { name: 'busy', strategy: 'pulse' },
      { name: 'other', strategy: 'maker', universe: { maxSymbols: 1 } },
    ];
    for (const env of [{ STRATEGY: 'pulse' }, { STRATEGIES: JSON.stringify(list) }]) {
      const loaded = loadSettings({
        env: { ...env, SYMBOLS: 'BTCTRY,ETHTRY' },
        cwd: '/',
        readFile: () => {
          throw new Error('nothing to read');
        },
        nowMs: 0,
      });
      if (!loaded.ok) throw new Error('refused');
      const { strategies, strategy, strategyConfig } = canarySettings(loaded.settings, 'ETHTRY', true);
      expect(strategies).to.deep.equal([
        {
          name: null,
          strategy: 'canary',
          symbols: ['ETHTRY', 'BTCTRY'],
          config: strategyConfig,
          universe: null,
        },
      ]);
      expect(strategy).to.equal('canary');
    }
  });
});
