import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { importStrategy } from '#src/runtime/strategy-module.js';
import { STRATEGIES } from '#src/strategies/catalogue.js';
import { run } from './run.js';

describe('btcbot strategies', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-strategies-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('lists every built-in strategy with its sentence', async () => {
    const { code, out } = await run(['strategies']);
    expect(code).to.equal(0);
    for (const { name, about } of STRATEGIES) expect(out).to.contain(name).and.to.contain(about);
  });

  it('shows the parameters of one, with what it wants before it trades', async () => {
    const { out } = await run(['strategies', 'trend']);
    expect(out).to.contain('candles of 1h, 78 of them before the first order');
    expect(out).to.match(/patienceMs +10000 +ms +whole number, 1000 to 3600000/);
  });

  it('gives programs all of it', async () => {
    const { out } = await run(['strategies', '--json']);
    const { strategies } = JSON.parse(out) as {
      strategies: { name: string; parameters: { name: string }[] }[];
    };
    expect(strategies.map(({ name }) => name)).to.deep.equal(STRATEGIES.map(({ name }) => name));
    expect(strategies.find(({ name }) => name === 'grid')?.parameters.map(({ name }) => name)).to.deep.equal([
      'notional',
      'levels',
      'spacingBps',
      'center',
    ]);
  });

  it('refuses a name that is none, and a file with everything that is wrong with it', async () => {
    const unknown = await run(['strategies', 'gird']);
    expect([unknown.code, unknown.err]).to.deep.equal([2, unknown.err]);
    expect(unknown.err).to.contain('there is no strategy gird; there are observe');
    const file = join(folder, 'bad.mjs');
    writeFileSync(file, "export default { portVersion: 9, name: 'X', about: '', parameters: {} };");
    const { code, err } = await run(['strategies', file]);
    expect(code).to.equal(2);
    expect(err).to.contain('portVersion').and.to.contain('create must be a function');
    writeFileSync(
      file,
      "export default { portVersion: 2, name: 'x', about: '', parameters: {}, create: () => ({}), candles: () => [{ interval: '7m', warmUp: -1 }] };",
    );
    const wishes = await run(['strategies', `${file}`]);
    expect([wishes.code, wishes.out]).to.deep.equal([2, '']);
  });

  for (const ending of ['ts', 'mjs'])
    it(`are begun with a file (.${ending}) and a test that passes as it is`, async () => {
      const name = `idea-${ending}`;
      const { code, out } = await run([
        'new-strategy',
        name,
        '--dir',
        folder,
        ...(ending === 'mjs' ? ['--js'] : []),
      ]);
      expect([code, out.includes(`${name}.test.${ending}`)]).to.deep.equal([0, true]);
      const definition = await importStrategy(join(folder, `${name}.${ending}`), folder);
      expect(definition.name).to.equal(name);
      const tested = spawnSync(process.execPath, ['--test', join(folder, `${name}.test.${ending}`)], {
        encoding: 'utf8',
        env: { PATH: process.env.PATH },
      });
      expect(tested.status, tested.stdout).to.equal(0);
      expect(tested.stdout).to.match(/pass 4\b/);
    });

  it('overwrites nothing, and refuses a name that cannot be one', async () => {
    writeFileSync(join(folder, 'mine.ts'), 'mine');
    const again = await run(['new-strategy', 'mine', '--dir', folder]);
    expect([again.code, again.err.includes('exists already')]).to.deep.equal([2, true]);
    expect(readFileSync(join(folder, 'mine.ts'), 'utf8')).to.equal('mine');
    for (const name of ['My-Idea', '1st', 'a'.repeat(21)])
      expect((await run(['new-strategy', name, '--dir', folder])).code, name).to.equal(2);
  });

  it('are refused in words where they cannot be written, and say how a shell takes their path', async () => {
    writeFileSync(join(folder, 'in-the-way'), '');
    for (const dir of [
      join(folder, 'in-the-way'),
      join(folder, 'in-the-way', 'below'),
      '/proc/no/such/folder',
    ]) {
      const { code, out, err } = await run(['new-strategy', 'lost', '--dir', dir]);
      expect([code, out], dir).to.deep.equal([2, '']);
      expect(err)
        .to.contain('cannot write into')
        .and.to.contain('--dir')
        .and.not.to.match(/\n\s+at /);
    }
    const spaced = await run(['new-strategy', 'found', '--dir', join(folder, 'two words')]);
    expect(spaced.out).to.match(/next: node --test '.*two words\/found\.test\.ts'/);
    expect(spaced.out).to.match(/STRATEGY=(\.\/)?'.*two words\/found\.ts'/);
  });

  it('may import the port by its name, wherever their file lies', async () => {
    const file = join(folder, 'named.mjs');
    writeFileSync(
      file,
      "import { defineStrategy } from 'btcbot/strategy'; export default defineStrategy({ name: 'named', about: 'A.', parameters: {}, create: () => ({}) });",
    );
    expect((await importStrategy(file, folder)).portVersion).to.equal(2);
  });
});
