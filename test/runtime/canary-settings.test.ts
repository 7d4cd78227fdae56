import { expect } from 'chai';
import { canarySettings } from '#src/runtime/canary-settings.js';
import { loadSettings } from '#src/runtime/config.js';

describe('the settings of a canary run', () => {
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
