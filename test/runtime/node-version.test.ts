import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';

const MODULE = pathToFileURL(resolve('dist/runtime/node-version.js')).href;
/** What an old Node looks like to the program. */
const PRETEND_OLD = `Object.defineProperty(process.versions, 'node', { value: '20.1.0' });`;
const ENTRY = `
${'{PRETEND}'}
const { ensureRuntime } = await import(${JSON.stringify(MODULE)});
if (await ensureRuntime(import.meta.url, process.env, code => process.exit(code))) {
  process.on('SIGTERM', () => process.exit(7));
  process.on('SIGUSR2', () => console.log('got SIGUSR2'));
  console.log('running', process.argv.slice(2).join(' '));
  if (process.argv.includes('stay')) setInterval(() => {}, 1000);
  else process.exitCode = 3;
}
`;
const PACKAGE = `node-${process.platform}-${process.arch}`;

describe('the hand-over to the pinned Node', function () {
  if (process.platform !== 'linux') return;
  this.timeout(20_000);
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-runtime-'));
    // Only the process that was not handed over to looks old.
    const pretend = `if (process.env.BTCBOT_HANDED_OVER_BY === undefined) { ${PRETEND_OLD} }`;
    writeFileSync(join(folder, 'old.mjs'), ENTRY.replace('{PRETEND}', pretend));
    writeFileSync(join(folder, 'new.mjs'), ENTRY.replace('{PRETEND}', ''));
    writeFileSync(join(folder, 'hopeless.mjs'), ENTRY.replace('{PRETEND}', PRETEND_OLD));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const pin = (): void => {
    mkdirSync(join(folder, 'node_modules', PACKAGE, 'bin'), { recursive: true });
    symlinkSync(process.execPath, join(folder, 'node_modules', PACKAGE, 'bin', 'node'));
  };
  const run = (file: string, ...args: string[]) =>
    spawnSync(process.execPath, [join(folder, file), ...args], { encoding: 'utf8' });

  it('does not happen on a Node that is new enough', () => {
    const { stdout, status } = run('new.mjs', 'a', 'b');
    expect([stdout, status]).to.deep.equal(['running a b\n', 3]);
  });

  it('passes on arguments, output and exit code', () => {
    pin();
    const { stdout, status } = run('old.mjs', 'a', 'b');
    expect([stdout, status]).to.deep.equal(['running a b\n', 3]);
  });

  it('says in one line what to do when there is no pinned Node', () => {
    const { stderr, stdout, status } = run('old.mjs');
    expect([stdout, status]).to.deep.equal(['', 2]);
    expect(stderr.trim().split('\n')).to.have.length(1);
    expect(stderr).to.contain('npm ci');
  });

  it('is not tried twice', () => {
    pin();
    const { status, stderr } = run('hopeless.mjs');
    expect(status).to.equal(2);
    expect(stderr).to.contain('npm ci');
  });

  const start = async () => {
    pin();
    const child = spawn(process.execPath, [join(folder, 'old.mjs'), 'stay'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    const heard = (words: string): Promise<void> =>
      new Promise(done => {
        const look = (): void => {
          if (text.includes(words)) done();
        };
        child.stdout.on('data', chunk => {
          text += String(chunk);
          look();
        });
        look();
      });
    const ended = new Promise<[number | null, string | null]>(done =>
      child.once('close', (code, signal) => done([code, signal])),
    );
    await heard('running');
    return { child, heard, ended };
  };

  it('passes on signals', async () => {
    const { child, heard, ended } = await start();
    child.kill('SIGUSR2');
    await heard('got SIGUSR2');
    child.kill('SIGTERM');
    expect(await ended).to.deep.equal([7, null]);
  });

  it('does not leave the other running when the first is killed', async () => {
    const { child, ended } = await start();
    child.kill('SIGKILL');
    // The other holds the pipe open until it has ended, too.
    expect(await ended).to.deep.equal([null, 'SIGKILL']);
  });
});
