import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { FAULTS } from '#src/exchange/faults.js';
import { CATALOGUE } from '#src/exchange/instruments.js';
import { RATE_LIMITS } from '#src/exchange/rate-limits.js';
import { checklistTable, withTable } from './checklist-table.js';

/** The rows of a Markdown table whose header begins with this word, cells trimmed. */
const rowsUnder = (markdown: string, header: string): string[][] => {
  const lines = markdown.split('\n');
  const start = lines.findIndex(line => line.startsWith(`| ${header}`));
  const rows: string[][] = [];
  for (let index = start + 2; start !== -1 && lines[index]?.startsWith('|'); index++)
    rows.push(
      (lines[index] ?? '')
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim()),
    );
  return rows;
};

describe('docs/exchange.md', () => {
  const page = readFileSync('docs/exchange.md', 'utf8');

  it('lists every fault and switch as the program describes it', () => {
    const rows = rowsUnder(page, 'Fault');
    expect(rows).to.deep.equal(
      Object.entries(FAULTS).map(([name, fault]) => {
        const value = fault.value === null ? '' : fault.value;
        const standard = 'default' in fault ? ` (\`${fault.default}\`)` : '';
        return [`\`${name}\``, fault.kind, fault.about, `${value}${standard}`];
      }),
    );
  });

  it('lists every budget', () => {
    const rows = rowsUnder(page, 'Budget');
    expect(rows).to.deep.equal(
      Object.entries(RATE_LIMITS).map(([name, budgets]) => [
        name,
        budgets.map(({ limit, period }) => `${limit} per ${period}`).join(', '),
        budgets[0].policy,
      ]),
    );
  });

  it('says of every row of the checklist which tests prove it, as the tests have it', function () {
    this.timeout(60_000);
    // Loaded in a process of its own: these files would become part of the running suite.
    const script = join(import.meta.dirname, 'checklist-table.js');
    const table = execFileSync(process.execPath, [script], { encoding: 'utf8' }).trim();
    expect(table.split('\n')).to.have.length(2 + 14);
    expect(withTable(page, table), 'node dist/test/exchange/checklist-table.js --write').to.equal(page);
  });

  it('refuses a table in which a row is not proven', () => {
    expect(() => checklistTable([{ path: ['paths (checklist row 1)'], title: 'a' }])).to.throw(
      'row 1, Paths',
    );
  });

  it('lists every pair', () => {
    for (const { symbol } of CATALOGUE) expect(page).to.contain(symbol);
  });
});
