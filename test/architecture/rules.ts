/**
 * The rules of ARCHITECTURE.md as functions from source files to violations. Each violation is a sentence that names
 * the file and says what to do instead.
 */
import type { SourceFile } from './sources.js';

/** What the files of one folder of `src` may import of ours, and the packages whose home it is. */
interface Layer {
  readonly imports: readonly string[];
  readonly packages: readonly string[];
}

const BASE = ['runtime', 'messages', 'domain'] as const;
const ALL_BUT_SUPERVISION = [
  'btcturk',
  'exchange',
  'ledger',
  'strategies',
  'research',
  'simulation',
  'cli',
  'operations',
  ...BASE,
] as const;

/** The arrows. A folder may always import itself; the files directly in `src` are the entries. */
const LAYERS: Readonly<Record<string, Layer>> = {
  domain: { imports: [], packages: [] },
  messages: { imports: ['domain'], packages: [] },
  // Indicators: arithmetic on numbers alone; its one reading of a clock, the default argument of a weekday helper, is
  // not used (test/strategies/indicators.test.ts).
  strategies: { imports: ['domain'], packages: ['trading-signals'] },
  runtime: {
    imports: ['messages', 'domain'],
    packages: ['comlink', 'zod', 'fastest-levenshtein', 'pino', '@opentelemetry', 'undici'],
  },
  // The pages of the built-in strategies show their declared parameters.
  operations: { imports: [...BASE, 'strategies'], packages: [] },
  btcturk: { imports: BASE, packages: ['undici', 'ws', 'zod', 'bottleneck'] },
  exchange: { imports: BASE, packages: ['ws', 'zod', 'pure-rand', 'fastest-levenshtein'] },
  ledger: { imports: BASE, packages: ['better-sqlite3'] },
  research: {
    imports: [...BASE, 'strategies', 'exchange', 'ledger', 'btcturk', 'simulation'],
    packages: ['piscina', 'zod', 'simple-statistics', 'csv-parse', 'better-sqlite3', 'uplot'],
  },
  supervision: { imports: BASE, packages: ['comlink'] },
  simulation: { imports: ALL_BUT_SUPERVISION, packages: ['better-sqlite3', 'piscina'] },
  cli: { imports: ALL_BUT_SUPERVISION, packages: ['fastest-levenshtein', 'cli-progress'] },
};
const ENTRY_IMPORTS: readonly string[] = [...ALL_BUT_SUPERVISION, 'supervision'];

/** Data of a closed folder that another may read: the table of children, which the simulated tree follows too. */
const OPENED: Readonly<Record<string, readonly string[]>> = {
  'src/supervision/child-spec.ts': ['simulation'],
};

const ENTRIES = [
  'src/supervisor.ts',
  'src/cli.ts',
  'src/simulation/main.ts',
  'src/operations/docs.ts',
  // What users' own strategies and their tests import.
  'src/strategy.ts',
  'src/testing.ts',
];

/** Folders whose files are pure: values in, values out. */
const PURE = ['domain', 'strategies'];

interface Ban {
  readonly pattern: RegExp;
  readonly what: string;
  readonly instead: string;
}

const IMPURE: readonly Ban[] = [
  { pattern: /\bDate\.now\b/, what: 'reads a clock (Date.now)', instead: 'take `now` as an argument' },
  { pattern: /\bnew Date\(\s*\)/, what: 'reads a clock (new Date())', instead: 'take `now` as an argument' },
  { pattern: /\bperformance\b/, what: 'reads a clock (performance)', instead: 'take `now` as an argument' },
  {
    pattern: /\bMath\.random\b|\bcrypto\b/,
    what: 'draws randomness',
    instead: 'take a seed or the drawn value as an argument',
  },
  {
    pattern: /\bprocess\b|\bglobalThis\b/,
    what: 'looks at its environment',
    instead: 'take what it needs as an argument',
  },
  {
    pattern: /\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/,
    what: 'sets a timer',
    instead: 'derive the deadline from state on a tick',
  },
  {
    pattern: /\basync\b|\bawait\b|\bnew Promise\b|\bPromise\./,
    what: 'waits for something',
    instead: 'return an effect and take its result as an input',
  },
  { pattern: /\bconsole\b/, what: 'writes to the console', instead: 'return a log effect' },
];

/** A ban outside the given homes. */
interface Reserved extends Ban {
  readonly homes: readonly string[];
}

const RESERVED: readonly Reserved[] = [
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.now\b|\bprocess\.hrtime\b/,
    what: 'reads a clock',
    instead: 'call now(), monoMs() or wallMs() of src/runtime/clock.ts',
    homes: ['src/runtime/clock.ts'],
  },
  {
    pattern: /\bMath\.random\b/,
    what: 'draws unseeded randomness',
    instead: 'use a seeded generator (pure-rand), or node:crypto for ids and jitter in a shell',
    homes: [],
  },
  {
    pattern: /\bprocess\.exit\b/,
    what: 'ends the process',
    instead: 'return an exit code to the entry, or throw',
    homes: ['src/supervisor.ts', 'src/cli.ts', 'src/simulation/main.ts'],
  },
  {
    pattern: /\bprocess\.env\b/,
    what: 'reads the environment',
    instead: 'take it from the settings; only the entries hand the environment on',
    homes: ['src/supervisor.ts', 'src/cli.ts', 'src/simulation/main.ts'],
  },
];

const folderOf = (path: string): string | null => /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
const isOurs = (path: string): boolean => path.startsWith('src/') || path.startsWith('workers/');
const packageOf = (specifier: string): string => specifier.split('/')[0] ?? specifier;

/** Imports against the arrows, and packages outside their home. */
export const arrowViolations = (sources: readonly SourceFile[]): string[] => {
  const found: string[] = [];
  for (const { path, imports } of sources) {
    for (const { specifier, file, spawned } of imports) {
      if (spawned) continue;
      if (file?.startsWith('workers/'))
        found.push(
          `${path} imports ${file}: nothing imports workers; spawn them, or move what is shared into src`,
        );
      if (!isOurs(path)) continue;
      if (file?.startsWith('test/'))
        found.push(`${path} imports ${file}: the program does not import its tests`);
      const problem = file === null ? packageProblem(path, specifier) : arrowProblem(path, file);
      if (problem !== null) found.push(`${path} imports ${file ?? specifier}: ${problem}`);
    }
  }
  return found;
};

const arrowProblem = (path: string, file: string): string | null => {
  const from = folderOf(path);
  const to = folderOf(file);
  if (!file.startsWith('src/') || from === to) return null;
  if (from !== null && OPENED[file]?.includes(from) === true) return null;
  if (to === null) return 'nothing imports an entry; move what is shared out of it';
  if (path.startsWith('workers/'))
    return to === 'supervision' ? 'workers do not know their supervisor; use messages' : null;
  const allowed = from === null ? ENTRY_IMPORTS : LAYERS[from]?.imports;
  if (allowed === undefined)
    return `src/${from}/ is not in ARCHITECTURE.md; give it a place there and in this test`;
  return allowed.includes(to)
    ? null
    : `src/${from}/ may import ${allowed.length === 0 ? 'nothing else of ours' : allowed.join(', ')}; move the shared part there`;
};

const packageProblem = (path: string, specifier: string): string | null => {
  const from = folderOf(path);
  if (specifier.startsWith('node:') || specifier.startsWith('.') || specifier.startsWith('#'))
    return specifier.startsWith('node:') && from !== null && PURE.includes(from)
      ? `src/${from}/ is pure; do this in a shell and pass the result in`
      : null;
  const name = packageOf(specifier);
  const homes = Object.entries(LAYERS).flatMap(([folder, layer]) =>
    layer.packages.includes(name) ? [folder] : [],
  );
  if (from !== null && homes.includes(from)) return null;
  return homes.length === 0
    ? 'this package has no home yet; name one in this test'
    : `the home of this package is src/${homes.join('/, src/')}/; use what that offers`;
};

/** Clocks, randomness, environment and waiting in the pure folders. */
export const purityViolations = (sources: readonly SourceFile[]): string[] =>
  sources.flatMap(source => {
    const folder = folderOf(source.path);
    return folder !== null && PURE.includes(folder) ? banned(source, IMPURE) : [];
  });

/** What only one place may do. */
export const reservedViolations = (sources: readonly SourceFile[]): string[] =>
  sources.flatMap(source =>
    isOurs(source.path)
      ? banned(
          source,
          RESERVED.filter(({ homes }) => !homes.includes(source.path)),
        )
      : [],
  );

const banned = ({ path, code }: SourceFile, bans: readonly Ban[]): string[] =>
  code
    .split('\n')
    .flatMap((line, index) =>
      bans
        .filter(({ pattern }) => pattern.test(line))
        .map(({ what, instead }) => `${path}:${index + 1} ${what}: ${instead}`),
    );

/**
 * Files that no entry reaches. Tests are entries for simulation and research alone. A helper of the tests is used when
 * a test imports it or names it (to start it as a process or thread), or when it is a benchmark, which people start.
 */
export const deadFiles = (sources: readonly SourceFile[]): string[] => {
  const byPath = new Map(sources.map(source => [source.path, source]));
  const reach = (entries: readonly string[]): Set<string> => {
    const seen = new Set<string>();
    const waiting = [...entries];
    for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
      const source = byPath.get(path);
      if (source === undefined || seen.has(path)) continue;
      seen.add(path);
      for (const { file } of source.imports) if (file !== null) waiting.push(file);
    }
    return seen;
  };
  const paths = [...byPath.keys()];
  const program = reach([...ENTRIES, ...paths.filter(path => path.startsWith('workers/'))]);
  const tested = reach(paths.filter(path => /^test\/.*\.test\.ts$/.test(path)));
  return paths.flatMap(path => {
    if (program.has(path) || path.endsWith('.d.ts')) return [];
    if (path.startsWith('test/'))
      return tested.has(path) || isNamedByTests(path, sources) || path.startsWith('test/bench/')
        ? []
        : [`${path} is used by no test: delete it, or rename it to .test.ts`];
    const folder = folderOf(path);
    if (tested.has(path) && (folder === 'simulation' || folder === 'research')) return [];
    return [
      tested.has(path)
        ? `${path} is used by tests alone: wire it into the program, or delete it with its tests`
        : `${path} is reachable from nowhere: wire it into the program, or delete it`,
    ];
  });
};

const isNamedByTests = (path: string, sources: readonly SourceFile[]): boolean => {
  const name = path.slice(path.lastIndexOf('/') + 1, -'.ts'.length);
  return sources.some(
    source => source.path !== path && source.path.startsWith('test/') && source.text.includes(name),
  );
};

/** Import cycles, type-only ones included: one sentence for each group of files that import each other. */
export const cycles = (sources: readonly SourceFile[]): string[] => {
  const byPath = new Map(sources.map(source => [source.path, source]));
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[] = [];
  const visit = (path: string): void => {
    order.set(path, order.size);
    low.set(path, order.get(path) ?? 0);
    stack.push(path);
    for (const { file } of byPath.get(path)?.imports ?? []) {
      if (file === null || !byPath.has(file)) continue;
      if (!order.has(file)) visit(file);
      if (stack.includes(file)) low.set(path, Math.min(low.get(path) ?? 0, low.get(file) ?? 0));
    }
    if (low.get(path) !== order.get(path)) return;
    const group = stack.splice(stack.indexOf(path));
    if (group.length > 1)
      found.push(`${group.sort().join(', ')} import each other: move what they share into a leaf`);
  };
  for (const { path } of sources) if (!order.has(path)) visit(path);
  return found;
};

/** Marks of unfinished work; written in two halves so that this file does not carry one. */
const MARKS = new RegExp(`\\b(?:${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);

export const marks = (sources: readonly SourceFile[]): string[] =>
  sources.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        MARKS.test(line)
          ? [`${path}:${index + 1} leaves work for later: finish it, or say in words what is so`]
          : [],
      ),
  );

/** Tests that are left out or run alone. */
export const idleTests = (sources: readonly SourceFile[]): string[] =>
  sources.flatMap(({ path, code }) =>
    path.startsWith('test/') && /\b(?:it|describe|context)\.(?:only|skip)\b/.test(code)
      ? [`${path} leaves tests out: run them all, or delete them`]
      : [],
  );

/** The rows of the table "Who owns what": actor, and the files its cells name in code spans. */
export const ownersTable = (markdown: string): ReadonlyMap<string, readonly string[]> => {
  const rows = new Map<string, readonly string[]>();
  const section = markdown.split(/^## /m).find(part => part.startsWith('Who owns what')) ?? '';
  for (const line of section.split('\n')) {
    const cells = line.split('|').map(cell => cell.trim());
    const actor = cells[1] ?? '';
    if (!/^[a-z-]+$/.test(actor)) continue;
    const spans = [...`${cells[2]} ${cells[3]}`.matchAll(/`([^`]+)`/g)].map(match => match[1] ?? '');
    rows.set(
      actor,
      spans.map(span => (span.startsWith('domain/') ? `src/${span}` : span)),
    );
  }
  return rows;
};

/** The table against the files that exist. */
export const ownersViolations = (
  markdown: string,
  paths: readonly string[],
  actors: readonly string[],
): string[] => {
  const rows = ownersTable(markdown);
  const found: string[] = [];
  for (const actor of actors)
    if (!rows.has(actor))
      found.push(`ARCHITECTURE.md has no row for the actor ${actor}: add it to "Who owns what"`);
  for (const [actor, named] of rows)
    for (const name of named)
      if (!paths.some(path => path === name || (name.endsWith('/') && path.startsWith(name))))
        found.push(`ARCHITECTURE.md names ${name} for ${actor}, which does not exist: correct the table`);
  const all = new Set([...rows.values()].flat());
  for (const path of paths)
    if (path.startsWith('workers/') && !all.has(path))
      found.push(`${path} is in no row of "Who owns what" in ARCHITECTURE.md: say whose shell it is`);
  return found;
};
