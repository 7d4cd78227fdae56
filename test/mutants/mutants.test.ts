import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { huntPlan, type Prey } from './hunt.js';
import { hunt } from './hunts.js';
import { MUTANTS, type Mutant } from './mutants.js';
import { mutantSection, wordsOf } from './report.js';
import { createScratch, editedSources } from './scratch.js';

const named = (name: string): Mutant => {
  const found = MUTANTS.find(mutant => mutant.name === name);
  if (found === undefined) throw new Error(`there is no mutant ${name}`);
  return found;
};
const FOUND: Prey = { seed: 3, violation: 'seed 3 BROKEN: seed 3: a | b\nat x', runs: 1, tookMs: 1_500 };
const FACTS = { date: '2026-01-31', commit: 'abc', machine: 'a machine', minutes: 10, controlRuns: 5 };

describe('planted bugs', () => {
  it('are at least twenty, of different names, and each fits the sources as they are', () => {
    expect(MUTANTS.length).to.be.at.least(20);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).to.equal(MUTANTS.length);
    for (const mutant of MUTANTS) expect(editedSources(mutant).size, mutant.name).to.be.greaterThan(0);
  });

  it('refuse text that is not in the sources', () => {
    const mutant = {
      ...named('skip-the-fence'),
      edits: [{ file: 'domain/fence.ts', from: 'no such', to: '' }],
    };
    expect(() => editedSources(mutant)).to.throw('0 times in src/domain/fence.ts');
  });

  it('are found by the simulator, and gone when they are taken out again', async function () {
    this.timeout(300_000);
    const scratch = createScratch();
    try {
      const limits = { firstSeed: 1, mostRuns: 20, mostMs: 240_000 };
      scratch.plant(named('commit-after-send'));
      const early = await hunt(scratch, limits);
      expect(early?.violation).to.match(/before its intent is durable/);
      scratch.plant(named('fee-forgotten'));
      expect(await hunt(scratch, limits)).not.to.equal(null);
      scratch.plant(null);
      expect(await hunt(scratch, { ...limits, firstSeed: early?.seed ?? 1, mostRuns: 1 })).to.equal(null);
    } finally {
      scratch.remove();
    }
    expect(existsSync(scratch.dist)).to.equal(false);
  });

  it('are reported with seed, time and what broke, and named when they were not found', () => {
    const [first, second] = [named('skip-the-fence'), named('forget-the-lease')];
    const names = [first.name, second.name];
    const trophies = [
      { mutant: first, prey: FOUND },
      { mutant: second, prey: null },
    ];
    const section = mutantSection(trophies, null, FACTS, '', names);
    expect(section).to.include(`| ${first.name}: ${first.about} | 3 | 2 s | a / b | 2026-01-31, abc |`);
    expect(section).to.include('1 of 2 were found; not found: forget-the-lease.');
    expect(section).to.include('Without a bug 5 seeds of the same kind broke nothing.');
    const later = { ...FACTS, date: '2026-02-01' };
    const again = mutantSection([{ mutant: second, prey: FOUND }], FOUND, later, section, names);
    expect(again).to.include('a / b | 2026-01-31, abc |');
    expect(again).to.include('a / b | 2026-02-01, abc |');
    expect(again).to.include('All 2 were found.');
    expect(again).to.include('proves little');
    expect(wordsOf('seed 12 BROKEN: seed 12: words')).to.equal('words');
  });

  it('are hunted in short runs of more than one kind', () => {
    const plans = [1, 2, 3].map(huntPlan);
    expect(new Set(plans.map(({ symbols }) => symbols.length)).size).to.equal(2);
  });
});
