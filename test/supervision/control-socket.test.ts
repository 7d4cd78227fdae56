import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { askBot } from '#src/cli/control-client.js';
import type { OperatorCommand } from '#src/domain/supervisor.js';
import { parseRequest, socketPathProblem } from '#src/runtime/control-protocol.js';
import { type ControlSocket, openControlSocket } from '#src/supervision/control-socket.js';

/** A server lets go of its name in the turn in which it is closed. */
const turnOfTheLoop = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('the control socket', () => {
  let folder = '';
  let control: ControlSocket | null = null;
  const asked: OperatorCommand[] = [];
  const path = (): string => join(folder, 'b.sock');
  const open = async (): Promise<ControlSocket> => {
    control = await openControlSocket(path(), (request, command) => {
      asked.push(command);
      control?.answer(request, { ok: true, message: command.type });
    });
    return control;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-socket-'));
    asked.length = 0;
  });
  afterEach(() => {
    control?.close();
    control = null;
    rmSync(folder, { recursive: true, force: true });
  });
  const raw = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(path());
      let received = '';
      socket.setEncoding('utf8');
      socket.on('connect', () => socket.write(text));
      socket.on('data', (chunk: string) => {
        received += chunk;
        if (received.includes('\n')) socket.destroy();
      });
      socket.on('close', () => resolve(received));
      socket.on('error', reject);
    });

  it('answers each command to whoever asked', async () => {
    await open();
    const answers = await Promise.all([
      askBot(path(), { type: 'status' }),
      askBot(path(), { type: 'safe-mode-on', reason: 'test' }),
      askBot(path(), { type: 'safe-mode-off', acknowledgement: 'x', key: 'operator' }),
    ]);
    expect(answers.map(answer => answer.message)).to.deep.equal(['status', 'safe-mode-on', 'safe-mode-off']);
    expect(asked).to.deep.include({ type: 'safe-mode-off', acknowledgement: 'x', key: 'operator' });
  });

  it('releases nothing for an asker who gave up while the process stood still, and holds all the same', async () => {
    await open();
    const asks = (...commands: readonly object[]): string =>
      `const s = require('node:net').connect(${JSON.stringify(path())});
       s.on('connect', () => { s.write(${JSON.stringify(commands.map(command => `${JSON.stringify({ id: 1, ...command })}\n`).join(''))});
       setTimeout(() => { s.destroy(); process.exit(0); }, 100); });`;
    const off = { type: 'safe-mode-off', acknowledgement: 'I_UNDERSTAND' };
    // This thread, which is the bot's main thread here, does nothing else until the asker has gone.
    spawnSync(process.execPath, ['-e', asks(off, { type: 'rotate-key' }, { type: 'drill-kill' })]);
    spawnSync(process.execPath, ['-e', asks({ type: 'safe-mode-on', reason: 'late' })]);
    spawnSync(process.execPath, ['-e', asks({ type: 'cancel-all', reason: 'late' })]);
    // Whatever came before these, and would have been carried out, has been by the last answer.
    for (let round = 0; round < 10; round++) await askBot(path(), { type: 'status' });
    const carriedOut = asked.map(({ type }) => type).filter(type => type !== 'status');
    expect(carriedOut.sort()).to.deep.equal(['cancel-all', 'safe-mode-on']);
  });

  it('is for its owner alone', async () => {
    await open();
    expect(statSync(path()).mode & 0o777).to.equal(0o600);
  });

  it('takes the place of a socket that a dead bot left, and goes when it is closed', async () => {
    const first = await open();
    await open();
    expect((await askBot(path(), { type: 'status' })).ok).to.equal(true);
    first.close();
    control?.close();
    expect(existsSync(path())).to.equal(false);
  });

  it('leaves the socket of its successor alone, which may be there before it has ended itself', async () => {
    const first = await open();
    await open();
    first.close();
    await turnOfTheLoop();
    expect((await askBot(path(), { type: 'status' })).ok).to.equal(true);
    expect(readdirSync(folder)).to.deep.equal(['b.sock']);
    control?.close();
    await turnOfTheLoop();
    expect(readdirSync(folder)).to.deep.equal([]);
  });

  it('closes also when its name cannot be removed', async () => {
    const first = await open();
    rmSync(path());
    mkdirSync(path());
    first.close();
    expect(existsSync(path())).to.equal(true);
  });

  for (const nonsense of [
    '\n',
    'x\n',
    '[]\n',
    '{"id":1}\n',
    '{"id":"1","type":"status"}\n',
    '{"id":1,"type":"sell-everything"}\n',
  ])
    it(`refuses ${JSON.stringify(nonsense)} and does nothing`, async () => {
      await open();
      expect(JSON.parse(await raw(nonsense))).to.include({ ok: false });
      expect(asked).to.deep.equal([]);
    });

  it('hangs up on a request without an end', async () => {
    await open();
    expect(await raw('x'.repeat(100_000))).to.equal('');
  });

  it('says so when nobody is there', async () => {
    const error = await askBot(path(), { type: 'status' }).then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error?.message).to.contain('no bot runs on this data');
  });

  it('refuses a path that the system would cut off', async () => {
    const long = join(folder, 'x'.repeat(120));
    expect(socketPathProblem(path())).to.equal(null);
    expect(socketPathProblem(long)).to.contain('choose a shorter STATE_DB_PATH');
    const error = await openControlSocket(long, () => {}).catch((reason: Error) => reason);
    expect(error).to.be.instanceOf(Error);
  });

  it('takes requests only in their full form', () => {
    expect(parseRequest('{"id":4,"type":"cancel-all"}')).to.deep.equal({
      id: 4,
      type: 'cancel-all',
      reason: 'an operator',
    });
    expect(parseRequest('{"id":4,"type":"safe-mode-off","acknowledgement":7}')).to.deep.equal({
      id: 4,
      type: 'safe-mode-off',
      acknowledgement: '',
      key: 'operator',
    });
  });
});
