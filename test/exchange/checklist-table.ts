/**
 * `node dist/test/exchange/checklist-table.js [--write]`: the table of docs/exchange.md that says for every row of the
 * checklist (protocol section 13.1) which tests prove it, on the exchange's side and on the adapter's. It is made from
 * the tests themselves: their files are loaded, nothing is run.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Mocha from 'mocha';

/** The areas of the checklist, in its order. */
const AREAS = [
  'Paths',
  'Auth',
  'Input',
  'Envelope',
  'Units',
  'Validation',
  'Fees',
  'Async',
  'Stop trigger',
  'Ids',
  'Open orders',
  'Limits',
  'Socket',
  'Faults',
] as const;

const ROOT = join(import.meta.dirname, '..', '..', '..');
const DOCUMENT = join(ROOT, 'docs', 'exchange.md');
const BEGIN = '<!-- generated: checklist -->';
const END = '<!-- end of checklist -->';
const FILES = ['exchange/checklist.test.js', 'exchange/faults.test.js', 'btcturk/exchange.test.js'];

interface Titled {
  /** Titles of the suites around it, outermost first. */
  readonly path: readonly string[];
  readonly title: string;
}

const testsIn = (suite: Mocha.Suite, path: readonly string[] = []): readonly Titled[] => {
  const here = suite.title === '' ? path : [...path, suite.title];
  return [
    ...suite.tests.map(({ title }) => ({ path: here, title })),
    ...suite.suites.flatMap(inner => testsIn(inner, here)),
  ];
};

const loadTests = async (): Promise<readonly Titled[]> => {
  const mocha = new Mocha();
  for (const file of FILES) mocha.addFile(join(import.meta.dirname, '..', file));
  await mocha.loadFilesAsync();
  return testsIn(mocha.suite);
};

const cell = (titles: readonly string[]): string =>
  titles.map(title => title.replaceAll('|', '\\|')).join('; ');

/** @throws when a row has no test on one of the sides */
export const checklistTable = (tests: readonly Titled[]): string => {
  const rows = AREAS.map((area, index) => {
    const row = index + 1;
    const exchange = tests
      .filter(
        ({ path }) =>
          path.some(title => title.endsWith(`(checklist row ${row})`)) ||
          (area === 'Faults' && path[0] === 'faults of the exchange'),
      )
      .map(({ title }) => title);
    const adapter = tests
      .filter(({ title }) => title.startsWith(`row ${row}, `))
      .map(({ title }) => title.slice(title.indexOf(': ') + 2));
    if (exchange.length === 0 || adapter.length === 0) throw new Error(`row ${row}, ${area}, is not proven`);
    return `| ${row} ${area} | ${cell(exchange)} | ${cell(adapter)} |`;
  });
  return ['| Row | The exchange | The adapter against it |', '| --- | --- | --- |', ...rows].join('\n');
};

/** @throws when the document has no place for the table */
export const withTable = (document: string, table: string): string => {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/exchange.md lacks ${BEGIN} or ${END}`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${document.slice(end)}`;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const table = checklistTable(await loadTests());
  if (process.argv.includes('--write'))
    writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), table));
  else process.stdout.write(`${table}\n`);
}
