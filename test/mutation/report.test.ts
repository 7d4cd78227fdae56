import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { strykerPlugins } from './plugin.js';
import { type ModuleScore, mutationSection, withScores } from './report.js';

const score = (module: string, killed: number, survived: number, when = '2026-01-31, abc'): ModuleScore => ({
  module,
  killed,
  survived,
  uncovered: 0,
  when,
  survivors: [],
});

describe('the table of small changes', () => {
  it('shows shares, and names what is below the goal', () => {
    const section = mutationSection([score('src/a.ts', 95, 5), score('src/b.ts', 8, 2)], 'a machine');
    expect(section).to.include('| src/a.ts | 95.0 % | 95 | 5 | 0 | 2026-01-31, abc |');
    expect(section).to.include('In all 93.6 % of 110; the goal is 90 %. Below it: src/b.ts.');
    expect(mutationSection([score('src/a.ts', 9, 1)], 'a machine')).to.include('No module is below it.');
  });

  it('keeps the rows of modules that were not measured this time', () => {
    const first = mutationSection([score('src/a.ts', 95, 5), score('src/b.ts', 8, 2)], 'a machine');
    const rows = withScores(first, [score('src/b.ts', 10, 0, '2026-02-01, def')]);
    expect(rows.map(({ module, killed, when }) => [module, killed, when])).to.deep.equal([
      ['src/a.ts', 95, '2026-01-31, abc'],
      ['src/b.ts', 10, '2026-02-01, def'],
    ]);
  });
});

describe('the configuration of Stryker', () => {
  const config = JSON.parse(readFileSync('config/stryker.json', 'utf8')) as {
    readonly testRunner: string;
    readonly plugins: readonly string[];
    readonly mutate: readonly string[];
    readonly reporters: readonly string[];
    readonly btcbot: { readonly tests: readonly string[] };
  };

  it('names files and plugins that are there', () => {
    for (const file of [...config.mutate, ...config.btcbot.tests, ...config.plugins])
      expect(existsSync(file), file).to.equal(true);
    const names = strykerPlugins.map(({ name }) => name);
    expect(names).to.include(config.testRunner);
    expect(names).to.include(config.reporters[0]);
  });
});
