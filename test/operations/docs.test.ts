import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { CAUSES, STORM_ATTEMPTS } from '#src/domain/breaker.js';
import {
  REJECTIONS_IN_ROW,
  REJECTIONS_PER_MINUTE,
  UNAUTHORIZED_IN_ROW,
} from '#src/domain/execution-detectors.js';
import { DENIAL_CODES } from '#src/domain/order-events.js';
import { HOLD_CAUSES } from '#src/domain/safety.js';
import { GENERATED_FILES } from '#src/operations/generated-files.js';
import { renderDocument, TABLES } from '#src/operations/tables.js';
import { SETTING_NAMES } from '#src/runtime/setting-table.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');

describe('the documents made from the code', () => {
  for (const { path, render } of GENERATED_FILES)
    it(`include ${path} as the code has it: run npm run docs`, () => {
      const file = join(ROOT, path);
      expect(existsSync(file), `${path} exists`).to.equal(true);
      const text = readFileSync(file, 'utf8');
      expect(render(text)).to.equal(text);
    });

  it('show every table somewhere', () => {
    const shown = ['RUNBOOK.md', 'SLO.md'].map(path => readFileSync(join(ROOT, path), 'utf8')).join('\n');
    for (const name of Object.keys(TABLES)) expect(shown).to.contain(`<!-- generated: ${name} -->`);
  });

  it('give every setting, cause and denial code a row of its own', () => {
    for (const [name, keys] of [
      ['settings', SETTING_NAMES],
      ['causes', HOLD_CAUSES],
      ['denials', DENIAL_CODES],
    ] as const)
      expect(
        (TABLES[name]?.() ?? '')
          .split('\n')
          .slice(2)
          .map(row => /^\| `([^`]+)`/.exec(row)?.[1]),
      ).to.deep.equal([...keys]);
  });

  it('notice a row that was changed by hand, and refuse a table nobody makes', () => {
    const made = renderDocument('<!-- generated: causes -->\n<!-- end of causes -->');
    expect(renderDocument(made.replace('at once', 'some time later'))).to.equal(made);
    expect(() => renderDocument('<!-- generated: prices -->\n<!-- end of prices -->')).to.throw(
      'there is no table prices',
    );
  });

  it('name as detectors of a cause those whose code asks for its hold, all of them', () => {
    const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
    const domain = readdirSync(join(ROOT, 'src/domain')).map(name => `src/domain/${name}`);
    const code: Readonly<Record<string, string>> = {
      execution: domain
        .filter(file => /\/execution/.test(file))
        .map(read)
        .join('\n'),
      reconciliation: domain
        .map(read)
        .filter(text => text.includes("'./reconciliation-state.js'"))
        .join('\n'),
      'market-data': domain
        .filter(file => /\/market-data/.test(file))
        .map(read)
        .join('\n'),
      ledger: read('workers/ledger.ts'),
      supervisor: read('src/domain/supervisor.ts') + read('src/supervision/child-spec.ts'),
    };
    for (const [actor, text] of Object.entries(code)) {
      const asks = [
        ...[...text.matchAll(/\b(?:askForHold|askForFact|placeHold|hold)\(([^;]*?)\)/g)].map(
          ([, given = '']) => given,
        ),
        ...[...text.matchAll(/'hold-wanted',[^}]*/g)].map(([given]) => given),
        ...[...text.matchAll(/toSupervisor\(\{[^}]*/g)].map(([given]) => given),
        ...[...text.matchAll(/holdWhileDown: '[a-z-]+'/g)].map(([given]) => given),
      ].join('\n');
      for (const cause of HOLD_CAUSES) {
        const { detector } = CAUSES[cause];
        if (cause === 'operator' || detector === 'every actor') continue;
        expect(asks.includes(`'${cause}'`), `${actor} asks for ${cause}`).to.equal(
          detector.split(', ').includes(actor),
        );
      }
    }
  });

  it('quote the thresholds that the detectors have', () => {
    expect(CAUSES['ws-reconnect'].threshold).to.match(new RegExp(`^${STORM_ATTEMPTS} connection attempts`));
    expect(CAUSES['reject-storm'].threshold).to.equal(
      `${REJECTIONS_IN_ROW} rejections in a row, or ${REJECTIONS_PER_MINUTE} in 60 s`,
    );
    expect(CAUSES.auth.threshold).to.contain(`or ${UNAUTHORIZED_IN_ROW} on writes`);
  });
});
