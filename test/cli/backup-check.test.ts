import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { backupCheck } from '#src/cli/checks.js';
import { writeBackupMark } from '#src/ledger/backup-mark.js';
import { botFolder, databaseIn, removeFolder } from '../support/bot.js';

const HOUR = 3_600_000;
const NOW = 1_800_000_000_000;

describe('the age of the last backup', () => {
  let folder: string;
  beforeEach(() => {
    folder = botFolder();
  });
  afterEach(() => removeFolder(folder));
  const verdict = (mode: 'live' | 'paper'): string =>
    backupCheck({ stateDbPath: databaseIn(folder), mode }, NOW).verdict;

  it('is nothing to worry about before there is a ledger', () => {
    expect(verdict('live')).to.equal('pass');
  });

  it('warns when a live ledger was not copied for more than a day, or never', () => {
    writeFileSync(databaseIn(folder), '');
    expect(verdict('live')).to.equal('warn');
    expect(verdict('paper')).to.equal('pass');
    writeBackupMark(databaseIn(folder), join(folder, 'copy.sqlite'), NOW - 25 * HOUR);
    expect(verdict('live')).to.equal('pass');
    writeBackupMark(databaseIn(folder), join(folder, 'copy.sqlite'), NOW - 28 * HOUR);
    expect(verdict('live')).to.equal('warn');
  });

  it('is not known from a mark that cannot be understood', () => {
    writeFileSync(databaseIn(folder), '');
    writeFileSync(`${databaseIn(folder)}.last-backup`, '{"file":7}');
    expect(verdict('live')).to.equal('warn');
  });
});
