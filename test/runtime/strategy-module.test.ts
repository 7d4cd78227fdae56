import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { definitionProblems } from '#src/domain/strategy-definition.js';
import {
  importStrategy,
  isModulePath,
  moduleDigest,
  StrategyModuleError,
} from '#src/runtime/strategy-module.js';
import { STRATEGIES } from '#src/strategies/catalogue.js';

const SOUND = `{
  portVersion: 1,
  name: 'mine',
  about: 'A strategy of my own.',
  parameters: { width: { type: 'number', default: 1, min: 0, max: 10, unit: 'bps', about: 'Width.' } },
  create: () => ({}),
}`;

describe("a user's strategy file", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-strategy-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return name;
  };
  const refusal = async (path: string): Promise<string> => {
    try {
      await importStrategy(path, folder);
    } catch (error) {
      expect(error).to.be.instanceOf(StrategyModuleError);
      return (error as Error).message;
    }
    throw new Error('it was accepted');
  };

  it('has another digest when it changes, or a file beside it that it imports', () => {
    write('part.mjs', 'export const half = 0.5;');
    write('whole.mjs', "import { half } from './part.mjs';\nexport * from './part.mjs';");
    const digest = (): string => moduleDigest(join(folder, 'whole.mjs'));
    const first = digest();
    expect(digest()).to.equal(first);
    write('part.mjs', 'export const half = 0.25;');
    const second = digest();
    write('whole.mjs', "export { half } from './part.mjs';");
    expect(new Set([first, second, digest()]).size).to.equal(3);
  });

  it('is told from a built-in name by its path', () => {
    for (const path of ['./mine.js', 'mine.ts', '/home/me/mine.mjs', 'strategies/mine'])
      expect(isModulePath(path), path).to.equal(true);
    for (const { name } of STRATEGIES) expect(isModulePath(name), name).to.equal(false);
  });

  it('is loaded as JavaScript and as TypeScript, relative to the working directory', async () => {
    for (const path of [
      write('mine.mjs', `export default ${SOUND};`),
      write('mine.mts', `const strategy: { readonly name: string } = ${SOUND};\nexport default strategy;`),
    ])
      expect((await importStrategy(`./${path}`, folder)).name).to.equal('mine');
  });

  it('is refused with its name when it is not there, does not load or exports nothing', async () => {
    expect(await refusal('./absent.mjs')).to.match(/^STRATEGY=\.\/absent\.mjs cannot be loaded: /);
    expect(await refusal(write('broken.mjs', 'export default {'))).to.contain('cannot be loaded');
    expect(await refusal(write('throws.mjs', "throw new Error('no')"))).to.contain('cannot be loaded: no');
    expect(await refusal(write('empty.mjs', ''))).to.contain('exports no strategy');
  });

  it('is refused with everything that is wrong with it', async () => {
    const text = `export default { portVersion: 3, name: 'My Strategy', about: 1, timerMs: 5, parameters: {
      a: { type: 'float' }, b: { type: 'number', default: 'x', min: 0, max: 1 },
      c: { type: 'choice', default: 'z', choices: ['x'] }, d: { type: 'decimal', default: 1, min: '0', max: '1' } } };`;
    expect(
      (await refusal(write('wrong.mjs', text))).split(': ').slice(1).join(': ').split('; '),
    ).to.deep.equal([
      'portVersion must be 2, not 3',
      'name must be 1 to 20 lower-case letters, digits and dashes, starting with a letter, not "My Strategy"',
      'about must be a sentence',
      'timerMs must be a function',
      'create must be a function',
      'parameter a: type must be one of number, integer, decimal, boolean, choice, text',
      'parameter b: default must be a number, not "x"',
      'parameter c: default must be one of the choices, not "z"',
      'parameter d: default must be decimal text, not 1',
    ]);
  });

  it('obeys the same rules as the built-in ones', () => {
    for (const strategy of STRATEGIES) expect(definitionProblems(strategy), strategy.name).to.deep.equal([]);
  });
});
