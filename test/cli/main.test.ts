import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { VERBS } from '#src/cli/verbs.js';
import { scratch } from '../ledger/fixtures.js';
import { run } from './run.js';

describe('btcbot', () => {
  const dir = scratch();

  it('without a verb shows what there is, and says that this was no command', async () => {
    const { code, out, err } = await run([]);
    expect([code, out]).to.deep.equal([2, '']);
    for (const { name } of VERBS) expect(err).to.contain(name);
  });

  it('--help shows every verb with its summary', async () => {
    const { code, out, err } = await run(['--help']);
    expect([code, err]).to.deep.equal([0, '']);
    for (const { name, summary } of VERBS) expect(out).to.contain(name).and.to.contain(summary);
  });

  it('knows each verb once, and each file calls itself by the name in the table', async () => {
    expect(new Set(VERBS.map(each => each.name)).size).to.equal(VERBS.length);
    for (const entry of VERBS) {
      const verb = await entry.load();
      expect(verb.name).to.equal(entry.name);
      expect(verb.usage.split(' ')[0]).to.equal(entry.name);
      const { code, out } = await run([entry.name, '--help']);
      expect([code, out.startsWith(`usage: btcbot ${verb.usage}`)], entry.name).to.deep.equal([0, true]);
      expect((await run(['help', entry.name])).out).to.equal(out);
    }
  });

  for (const [words, hint] of [
    [['ordres'], 'did you mean orders?'],
    [['balance'], 'did you mean balances?'],
    [['xyzzyplugh'], 'btcbot --help lists them all'],
    [['orders', '--symbl', 'BTCTRY'], 'did you mean --symbol?'],
    [['orders', '--zzzzzzzzzz'], 'no option --zzzzzzzzzz'],
    [['orders', '--limit', '-3'], '--limit'],
    [['orders', '--limit', 'many'], 'whole number'],
    [['orders', 'BTCTRY'], 'unexpected "BTCTRY"'],
    [['explain'], 'name one order'],
    [['export', '--format', 'xml'], 'csv or jsonl'],
    [['export', '--from', 'yesterday'], '--from must be a date'],
    [['export', '--from', '2026-02-01', '--to', '2026-01-01'], '--from must be before --to'],
    [['export', '--to', '2026-06-31'], '--to must be a date'],
    [['export', '--from', '2026-02-29T00:00:00Z'], '--from must be a date'],
    [['pnl', '--db', '/nowhere/at/all.sqlite'], 'there is no ledger at /nowhere/at/all.sqlite'],
    [['pnl', '--db', '/proc'], '/proc is not a file'],
    [['pnl', '--config', '/nowhere/at/all.json'], 'cannot read --config'],
  ] as const)
    it(`refuses ${words.join(' ')} with exit code 2 and says ${JSON.stringify(hint)}`, async () => {
      const { code, out, err } = await run(words);
      expect([code, out]).to.deep.equal([2, '']);
      expect(err).to.contain(hint);
      expect(err, 'words, not a stack').to.not.match(/\n\s+at /);
    });

  it('makes no suggestion for a word that is like nothing', async () => {
    expect((await run(['xyzzyplugh'])).err).to.not.contain('did you mean');
  });

  const cli = fileURLToPath(new URL('../../cli.js', import.meta.url));

  for (const [title, signals] of [
    ['a Ctrl-C that npm, or an older Node, forwards once more', ['SIGINT', 'SIGINT']],
    ['a terminal that is closed', ['SIGHUP']],
  ] as const)
    it(`comes to its own end at ${title}`, async () => {
      const child = spawn(process.execPath, [cli, 'exchange', '--port', '0', '--json'], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      await once(child.stdout, 'data');
      const ended = once(child, 'exit');
      for (const signal of signals) {
        child.kill(signal);
        await pause(5);
      }
      expect(await ended).to.deep.equal([0, null]);
    });

  it('keeps its exit code when nobody reads what it says', async () => {
    const child = spawn(process.execPath, [cli, 'health', '--db', dir.file('none.sqlite')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    child.stderr.destroy();
    expect(await once(child, 'exit')).to.deep.equal([2, null]);
  });

  if (existsSync('/dev/full'))
    it('says in words, and by its exit code, that what it prints could not be written', () => {
      const full = openSync('/dev/full', 'w');
      const { status, stderr } = spawnSync(process.execPath, [cli, 'strategies', '--json'], {
        encoding: 'utf8',
        stdio: ['ignore', full, 'pipe'],
      });
      closeSync(full);
      expect(status).to.equal(1);
      expect(stderr).to.match(/^btcbot: what it prints cannot be written: ENOSPC.*\n$/);
    });

  it('is a command before it is built, too, and says then what is missing', () => {
    // npx keeps what it finds at its first call in a folder, and looks no more: a file that a build makes comes too late.
    const root = new URL('../../../', import.meta.url);
    const { bin } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
      bin: { btcbot: string };
    };
    const shipped = new URL(bin.btcbot, root);
    expect(bin.btcbot).to.not.match(/^(\.\/)?dist\//);
    expect(statSync(shipped).mode & 0o111, 'it may be run').to.equal(0o111);
    const folder = dir.file('not-built');
    mkdirSync(join(folder, 'bin'), { recursive: true });
    copyFileSync(shipped, join(folder, 'bin', 'btcbot.js'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const bare = spawnSync(process.execPath, [join(folder, 'bin', 'btcbot.js'), 'status'], {
      encoding: 'utf8',
    });
    expect([bare.status, bare.stdout]).to.deep.equal([2, '']);
    expect(bare.stderr).to.contain('npm run build').and.to.contain(folder);
    const built = spawnSync(process.execPath, [fileURLToPath(shipped), 'ordres'], { encoding: 'utf8' });
    expect(built.status).to.equal(2);
    expect(built.stderr).to.contain('did you mean orders?');
  });

  it('runs as a program, with the exit code of the contract', () => {
    expect(readFileSync(cli, 'utf8').startsWith('#!/usr/bin/env node\n')).to.equal(true);
    const child = spawnSync(process.execPath, [cli, 'orders', '--db', dir.file('none.sqlite')], {
      encoding: 'utf8',
    });
    expect(child.status).to.equal(2);
    expect(child.stderr).to.contain('there is no ledger');
  });
});
