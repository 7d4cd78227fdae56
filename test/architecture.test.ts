import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { ACTOR_NAMES } from '#src/domain/step.js';
import {
  arrowViolations,
  cycles,
  deadFiles,
  idleTests,
  marks,
  ownersViolations,
  purityViolations,
  reservedViolations,
} from './architecture/rules.js';
import { readSources, sourceFile } from './architecture/sources.js';

const sources = readSources('.', ['src', 'workers', 'test']);
const program = sources.filter(({ path }) => !path.startsWith('test/'));

/** All violations in the failure's text, one a line. */
const expectNone = (violations: readonly string[]): void => {
  expect(violations.length, `\n${violations.join('\n')}\n`).to.equal(0);
};

describe('the architecture', () => {
  it('has files to look at', () => {
    expect(program.length).to.be.greaterThan(30);
    expect(sources.flatMap(({ imports }) => imports).length).to.be.greaterThan(150);
  });
  it('has no import against its arrows, and each package in its home', () =>
    expectNone(arrowViolations(sources)));
  it('keeps the domain and the strategies pure', () => expectNone(purityViolations(sources)));
  it('reads clocks, randomness and the environment, and ends the process, in one place each', () =>
    expectNone(reservedViolations(sources)));
  it('has no file that nothing uses', () => expectNone(deadFiles(sources)));
  it('has no import cycle', () => expectNone(cycles(program)));
  it('leaves no work for later, and no test out', () =>
    expectNone([...marks(sources), ...idleTests(sources)]));
  it('is as its page says', () =>
    expectNone(
      ownersViolations(
        readFileSync('ARCHITECTURE.md', 'utf8'),
        program.map(({ path }) => path),
        ACTOR_NAMES,
      ),
    ));
});

describe('the architecture rules', () => {
  const file = (path: string, text = '') => sourceFile(path, text);
  const clean = file('src/domain/clean.ts');

  it('see imports in every form, and none in comments', () => {
    const { imports } = file(
      'src/cli/a.ts',
      `import type { A } from './b.js';
       import './c.js';
       export * from '../domain/d.js';
       import {
         type E,
       } from '#src/runtime/e.js';
       const f = await import('./f.js');
       const worker = new URL('../../workers/g.js', import.meta.url);
       import { parse } from 'node:path';
       // import './h.js';
       /* import './i.js'; */
       const text = 'keep'; // an apostrophe's end`,
    );
    expect(imports.map(({ specifier, file: target }) => target ?? specifier)).to.deep.equal([
      'src/cli/b.ts',
      'src/cli/c.ts',
      'src/domain/d.ts',
      'src/runtime/e.ts',
      'src/cli/f.ts',
      'workers/g.ts',
      'node:path',
    ]);
  });

  it('look at code alone, not at comments and texts', () => {
    const source = `// Date.now()
      /** process.env */
      const a = 'Math.random', b = "performance";
      const c = \`Date.now \${a + \`process \${1}\`} process\`;
      const d = /process'/.test(a);
      const e = 4 / 2; const f = 'process' / 1;`;
    expect(purityViolations([file('src/domain/a.ts', source)])).to.deep.equal([]);
    expect(
      purityViolations([file('src/domain/a.ts', `${source}\nconst g = \`\${process.pid}\`;`)]),
    ).to.have.length(1);
  });

  for (const [from, to] of [
    ['src/domain/a.ts', 'src/messages/b.ts'],
    ['src/messages/a.ts', 'src/runtime/b.ts'],
    ['src/runtime/a.ts', 'src/btcturk/b.ts'],
    ['src/strategies/a.ts', 'src/runtime/b.ts'],
    ['src/btcturk/a.ts', 'src/exchange/b.ts'],
    ['src/exchange/a.ts', 'src/ledger/b.ts'],
    ['src/supervision/a.ts', 'src/ledger/b.ts'],
    ['src/simulation/a.ts', 'src/supervision/b.ts'],
    ['src/cli/a.ts', 'src/supervision/b.ts'],
    ['src/runtime/a.ts', 'src/cli.ts'],
    ['src/runtime/a.ts', 'workers/b.ts'],
    ['src/runtime/a.ts', 'test/b.ts'],
    ['workers/a.ts', 'src/supervision/b.ts'],
    ['workers/a.ts', 'workers/b.ts'],
    ['test/a.ts', 'workers/b.ts'],
    ['src/unheard/a.ts', 'src/domain/b.ts'],
  ] as const)
    it(`find ${from} importing ${to}`, () => {
      const up = '../'.repeat(from.split('/').length - 1);
      const target = `${up}${to.replace(/\.ts$/, '.js')}`;
      expect(arrowViolations([file(from, `import { b } from '${target}';`)])[0]).to.contain(
        `${from} imports ${to}`,
      );
    });

  for (const [path, specifier] of [
    ['src/domain/a.ts', 'zod'],
    ['src/domain/a.ts', 'node:crypto'],
    ['src/strategies/a.ts', 'node:fs'],
    ['src/cli/a.ts', 'better-sqlite3'],
    ['workers/execution.ts', 'undici'],
    ['src/runtime/a.ts', 'left-pad'],
    ['src/ledger/a.ts', '@opentelemetry/api'],
  ] as const)
    it(`find ${specifier} outside its home in ${path}`, () => {
      expect(arrowViolations([file(path, `import x from '${specifier}';`)])).to.have.length(1);
    });

  for (const [path, specifier] of [
    ['src/runtime/a.ts', '@opentelemetry/api'],
    ['src/btcturk/a.ts', '../domain/money.js'],
    ['workers/a.ts', '#src/btcturk/rest.js'],
    ['workers/a.ts', 'node:worker_threads'],
    ['src/simulation/a.ts', '../supervision/child-spec.js'],
    ['src/supervisor.ts', './supervision/tree.js'],
    ['test/a.ts', '#src/supervision/tree.js'],
    ['test/a.ts', 'chai'],
  ] as const)
    it(`allow ${specifier} in ${path}`, () => {
      expect(arrowViolations([file(path, `import x from '${specifier}';`)])).to.deep.equal([]);
    });

  it('allow a worker to be spawned', () => {
    const text = "new URL('../../workers/a.js', import.meta.url)";
    expect(arrowViolations([file('src/supervision/a.ts', text)])).to.deep.equal([]);
  });

  for (const line of [
    'const at = Date.now();',
    'const at = new Date( );',
    'const at = performance.now();',
    'const x = Math.random();',
    'const y = process.env;',
    'setTimeout(() => {}, 1);',
    'const z = async () => {};',
    'console.log(1);',
    'crypto.randomUUID();',
  ])
    it(`find \`${line}\` in the domain and in a strategy, with its line`, () => {
      for (const folder of ['domain', 'strategies'])
        expect(purityViolations([file(`src/${folder}/a.ts`, `\n${line}`)])[0]).to.contain(
          `src/${folder}/a.ts:2`,
        );
      expect(purityViolations([file('src/runtime/a.ts', line)])).to.deep.equal([]);
    });

  it('allow a date made of a given time', () => {
    expect(purityViolations([file('src/domain/a.ts', 'new Date(atMs).toISOString();')])).to.deep.equal([]);
  });

  for (const [line, home] of [
    ['Date.now();', 'src/runtime/clock.ts'],
    ['process.hrtime.bigint();', 'src/runtime/clock.ts'],
    ['process.exit(1);', 'src/supervisor.ts'],
    ['process.env;', 'src/cli.ts'],
  ] as const)
    it(`keep \`${line}\` to its home`, () => {
      expect(reservedViolations([file('src/ledger/a.ts', line)])).to.have.length(1);
      expect(reservedViolations([file('workers/a.ts', line)])).to.have.length(1);
      expect(reservedViolations([file(home, line)])).to.deep.equal([]);
    });

  it('find files that nothing uses, and those that only tests use', () => {
    const found = deadFiles([
      file('src/supervisor.ts', "import './runtime/used.js';"),
      file('src/runtime/used.ts', "import './far.js';"),
      file('src/runtime/far.ts'),
      file('workers/a.ts', "import '#src/ledger/by-worker.js';"),
      file('src/ledger/by-worker.ts'),
      file('src/ledger/tested.ts'),
      file('src/ledger/nobody.ts'),
      file('src/research/tested.ts'),
      file('src/research/nobody.ts'),
      file(
        'test/ledger/a.test.ts',
        "import '#src/ledger/tested.js'; import '#src/research/tested.js'; import './helper.js';",
      ),
      file('test/ledger/helper.ts'),
      file('test/ledger/unused.ts'),
      file('test/ledger/b.test.ts', "start('children/started.js')"),
      file('test/ledger/children/started.ts'),
      file('test/bench/speed.ts'),
    ]);
    expect(found.map(words => words.split(':')[0])).to.deep.equal([
      'src/ledger/tested.ts is used by tests alone',
      'src/ledger/nobody.ts is reachable from nowhere',
      'src/research/nobody.ts is reachable from nowhere',
      'test/ledger/unused.ts is used by no test',
    ]);
  });

  it('find cycles, also through types and through several files', () => {
    const found = cycles([
      file('src/domain/a.ts', "import type { B } from './b.js';"),
      file('src/domain/b.ts', "import { c } from './c.js';"),
      file('src/domain/c.ts', "import { a } from './a.js'; import './clean.js';"),
      file('src/domain/d.ts', "import { a } from './a.js';"),
      clean,
    ]);
    expect(found).to.deep.equal([
      'src/domain/a.ts, src/domain/b.ts, src/domain/c.ts import each other: move what they share into a leaf',
    ]);
  });

  it('find marks of unfinished work, and tests that are left out', () => {
    expect(marks([file('src/domain/a.ts', `// ${'TO'}${'DO'}: later`), clean])).to.have.length(1);
    expect(idleTests([file('test/a.test.ts', `it.${'skip'}('x', () => {});`)])).to.have.length(1);
    expect(idleTests([file('test/a.test.ts', "it('skips nothing', () => {});")])).to.deep.equal([]);
  });

  it('hold the table of owners against the files', () => {
    const table = `# A\n\n## Who owns what\n\n| Actor | Brain | Shell | Owns |\n| --- | --- | --- | --- |
| ledger | \`src/ledger/\`, \`domain/clean.ts\` | \`workers/ledger.ts\` | the file |
| strategy | \`domain/gone.ts\` | \`src/gone/\` | \`nothing\` |\n\n## Next\n`;
    expect(
      ownersViolations(
        table,
        ['src/ledger/a.ts', 'src/domain/clean.ts', 'workers/ledger.ts', 'workers/new.ts'],
        ['ledger', 'strategy', 'execution'],
      ).map(words => words.split(/[:,]/)[0]),
    ).to.deep.equal([
      'ARCHITECTURE.md has no row for the actor execution',
      'ARCHITECTURE.md names src/domain/gone.ts for strategy',
      'ARCHITECTURE.md names src/gone/ for strategy',
      'workers/new.ts is in no row of "Who owns what" in ARCHITECTURE.md',
    ]);
  });
});
