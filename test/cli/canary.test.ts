import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'chai';
import type { CanaryEvidence } from '#src/cli/canary-evidence.js';
import { parseDecimal } from '#src/domain/money.js';
import type { RunningExchange } from '#src/exchange/server.js';
import { wallMs } from '#src/runtime/clock.js';
import {
  botFolder,
  type CliEnd,
  type ClosingStatement,
  databaseIn,
  removeFolder,
  runVerb,
  startBot,
} from '../support/bot.js';
import { CANARY_SECRET, fault, liveSettings, openVenue } from '../support/live-venue.js';
import { run } from './run.js';

describe('the canary', function () {
  this.timeout(120_000);
  let venue: RunningExchange;
  let folder = '';
  beforeEach(async () => {
    venue = await openVenue();
    folder = botFolder();
  });
  afterEach(async () => {
    await venue.close();
    removeFolder(folder);
  });

  const settings = (over: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    ...liveSettings(venue, databaseIn(folder)),
    ...over,
  });
  const evidenceOf = (end: CliEnd): CanaryEvidence & { readonly file: string } =>
    JSON.parse(end.stdout) as CanaryEvidence & { readonly file: string };
  const failed = (evidence: CanaryEvidence): readonly string[] =>
    evidence.verdicts.filter(({ passed }) => !passed).map(({ name }) => name);
  const openAtVenue = (): number => venue.account().open.size;

  const coins = (): string | undefined =>
    (JSON.parse(venue.statement()) as ClosingStatement).balances.find(({ asset }) => asset === 'BTC')?.total;

  it('rests and cancels on both sides, buys and sells once, ends flat, and leaves its evidence', async () => {
    const before = coins();
    // The configuration asks for a busy strategy and large orders: the canary takes neither over.
    const end = await runVerb(['canary', '--json'], settings({ STRATEGY: 'pulse' }));
    expect(end.stderr).to.equal('');
    const evidence = evidenceOf(end);
    expect(failed(evidence)).to.deep.equal([]);
    expect(end.code).to.equal(0);
    expect(evidence.orders.map(({ side, state }) => `${side} ${state}`)).to.deep.equal([
      'buy canceled',
      'sell canceled',
      'buy filled',
      'sell filled',
    ]);
    // The exchange's own account of it.
    const orders = [...venue.account().orders.values()];
    expect(orders.map(order => String(order.clientOrderId))).to.deep.equal(
      evidence.orders.map(({ clientOrderId }) => clientOrderId),
    );
    for (const { price, quantity } of orders)
      expect((price ?? 0n) * quantity <= parseDecimal('1000') * 10n ** 16n).to.equal(true);
    expect(openAtVenue()).to.equal(0);
    expect(coins()).to.equal(before);
    const kept = readFileSync(evidence.file, 'utf8');
    expect(JSON.parse(kept)).to.deep.include({ passed: true, build: evidence.build, symbol: 'BTCTRY' });
    expect(evidence.configHash).to.match(/^[0-9a-f]{64}$/);
    expect(statSync(evidence.file).mode & 0o777).to.equal(0o600);
    expect(kept).not.to.contain(CANARY_SECRET);
    expect(kept).not.to.contain(venue.apiKey);
  });

  it('stops at the first warning, and sends nothing more', async () => {
    fault(venue, 'html-5xx=503,on=submit');
    const end = await runVerb(['canary', '--json', '--out', join(folder, 'evidence.json')], settings());
    const evidence = evidenceOf(end);
    expect(end.code).to.equal(1);
    expect(evidence.file).to.equal(join(folder, 'evidence.json'));
    expect(failed(evidence)).to.include.members(['plan carried out', 'no warning', 'clean stop']);
    expect(evidence.warnings.map(({ event }) => event)).to.include('order-unknown');
    expect(evidence.warnings.some(({ event }) => event === 'stop-forced')).to.equal(false);
    expect(evidence.orders).to.have.length(1);
    expect(venue.account().orders.size).to.equal(0);
    expect(JSON.parse(readFileSync(evidence.file, 'utf8'))).to.deep.include({ passed: false });
  });

  const watched = async (): Promise<{ readonly child: ChildProcess; readonly file: string }> => {
    const file = join(folder, 'evidence.json');
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, '..', '..', 'cli.js'), 'canary', '--out', file],
      { env: { PATH: process.env.PATH, ...settings() }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    while (venue.account().orders.size === 0) {
      expect(child.exitCode).to.equal(null);
      await pause(20);
    }
    return { child, file };
  };

  for (const [words, signals] of [
    ['a Ctrl-C that npm forwards once more', ['SIGINT', 'SIGINT']],
    ['a terminal that was closed', ['SIGHUP']],
  ] as const)
    it(`is stopped by ${words}, leaves nothing open, and its evidence says so`, async () => {
      const { child, file } = await watched();
      const ended = once(child, 'exit');
      for (const signal of signals) {
        child.kill(signal);
        await pause(5);
      }
      expect(await ended).to.deep.equal([1, null]);
      const { passed, warnings } = JSON.parse(readFileSync(file, 'utf8')) as CanaryEvidence;
      expect(passed).to.equal(false);
      expect(warnings.map(({ event }) => event)).to.include('interrupted');
      expect(openAtVenue()).to.equal(0);
      expect(venue.account().orders.size).to.be.lessThan(4);
    });

  it('does not go on when whoever watches it is dead', async () => {
    const { child } = await watched();
    child.kill('SIGKILL');
    const untilMs = wallMs() + 15_000;
    while (existsSync(`${databaseIn(folder)}.sock`) && wallMs() < untilMs) await pause(50);
    expect(existsSync(`${databaseIn(folder)}.sock`), 'the bot has ended').to.equal(false);
    expect(openAtVenue()).to.equal(0);
    expect(venue.account().orders.size).to.be.lessThan(4);
  });

  const refusals: readonly [words: string, over: Readonly<Record<string, string>>, why: RegExp][] = [
    ['in safe mode', { SAFE_MODE: 'true' }, /SAFE_MODE is true/],
    ['with a malformed flag', { DRY_RUN: 'no' }, /DRY_RUN is "no"/],
    ['under the kill switch', { KILL_SWITCH: 'true' }, /KILL_SWITCH is true/],
    ['without the words', { LIVE_TRADING_ACK: 'yes' }, /LIVE_TRADING_ACK/],
    ['without one limit', { MAX_DAILY_LOSS_TRY: '' }, /MAX_DAILY_LOSS_TRY is not set/],
    ['with a key that may withdraw', { BTCTURK_API_SCOPES: 'read,trade,withdraw' }, /withdraw/],
    ['with a key the venue refuses', { BTCTURK_API_KEY: 'another-key' }, /the key is not accepted/],
    ['without evidence', { LIVE_READINESS_MIN_MINUTES: '0.01' }, /no evidence of a healthy dry run/],
    ['on paper', { VENUE: 'paper' }, /VENUE is paper/],
    ['on a symbol that may not be traded', { SYMBOLS: 'ETHTRY' }, /BTCTRY is not in SYMBOLS/],
  ];
  for (const [words, over, why] of refusals)
    it(`is refused ${words}, and sends nothing`, async () => {
      const { code, err } = await run(['canary', '--symbol', 'BTCTRY'], settings(over));
      expect(err).to.match(why);
      expect(code).to.equal(2);
      expect(venue.account().orders.size).to.equal(0);
      expect(readdirSync(folder)).to.deep.equal([]);
    });

  it('is refused by the bot itself where it is not armed, whoever starts it', async () => {
    const bot = startBot(settings({ LIVE_READINESS_MIN_MINUTES: '0.01' }), ['--canary', 'BTCTRY']);
    expect(await bot.ended).to.deep.equal({ code: 2, signal: null });
    expect(bot.stderr()).to.contain('the canary is not armed: no evidence of a healthy dry run is recorded');
    expect(bot.events).to.deep.equal([]);
  });
});
