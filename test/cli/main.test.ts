import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
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
    [['pnl', '--db', '/nowhere/at/all.sqlite'], 'there is no ledger at /nowhere/at/all.sqlite'],
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

  it('runs as a program, with the exit code of the contract', () => {
    expect(readFileSync(cli, 'utf8').startsWith('#!/usr/bin/env node\n')).to.equal(true);
    const child = spawnSync(process.execPath, [cli, 'orders', '--db', dir.file('none.sqlite')], {
      encoding: 'utf8',
    });
    expect(child.status).to.equal(2);
    expect(child.stderr).to.contain('there is no ledger');
  });
});
