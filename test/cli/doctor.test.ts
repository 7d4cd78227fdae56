import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parseDecimal } from '#src/domain/money.js';
import { type DrillRecord, newReadiness, type ReadinessRecord } from '#src/domain/readiness.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { openLedger } from '#src/ledger/store.js';
import { SLOT_MS } from '#src/operations/objective-day.js';
import { objectivePath, writeObjectives } from '#src/operations/objective-file.js';
import { buildId } from '#src/runtime/build-id.js';
import { loadSettings } from '#src/runtime/config.js';
import { controlSocketPath } from '#src/runtime/control-protocol.js';
import { latchPath, writeLatch } from '#src/runtime/latch-file.js';
import { drillPath, readinessPath, writeReadiness } from '#src/runtime/readiness-file.js';
import { openControlSocket } from '#src/supervision/control-socket.js';
import { configOf, World } from '../domain/supervisor-world.js';
import { AT, intended, moved } from '../ledger/fixtures.js';
import { accountAt, LIVE_FLAGS, LIVE_LIMITS } from '../support/live-venue.js';
import { run } from './run.js';

interface Row {
  readonly name: string;
  readonly verdict: string;
  readonly detail: string;
}

describe('doctor and preflight', () => {
  let exchange: RunningExchange;
  let folder = '';
  before(async () => {
    exchange = await startExchange({
      host: '127.0.0.1',
      port: 0,
      market: { type: 'generated' },
      symbols: ['BTCTRY'],
      seed: 3,
      feeLevel: 1,
      balances: new Map([['TRY', parseDecimal('1000000')]]),
      faults: [],
      playAtOnce: true,
      log: () => {},
    });
  });
  after(() => exchange.close());
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'btcbot-doctor-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const db = (): string => join(folder, 'bot.sqlite');
  const env = (over: Readonly<Record<string, string>> = {}): Record<string, string> => ({
    STATE_DB_PATH: db(),
    ...accountAt(exchange),
    ...LIVE_LIMITS,
    ...over,
  });
  const examine = async (
    verb: 'doctor' | 'preflight',
    settings: Readonly<Record<string, string>>,
  ): Promise<{ readonly code: number; readonly rows: ReadonlyMap<string, Row>; readonly text: string }> => {
    const { code, out } = await run([verb, '--json'], settings);
    const { checks } = JSON.parse(out) as { readonly checks: readonly Row[] };
    return { code, rows: new Map(checks.map(row => [row.name, row])), text: out };
  };
  const givenDrill = (over: Partial<DrillRecord> = {}): void =>
    writeReadiness(drillPath(db()), {
      build: buildId(),
      atMs: Date.now() - 60_000,
      passed: true,
      verifiedZeroMs: 900,
      left: [],
      ...over,
    });
  const givenEvidence = (
    settings: Readonly<Record<string, string>>,
    over: Partial<ReadinessRecord> = {},
  ): void => {
    const loaded = loadSettings({
      env: settings,
      cwd: folder,
      readFile: () => {
        throw new Error('no such file');
      },
      nowMs: Date.now(),
    });
    if (!loaded.ok) throw new Error('settings');
    const record: ReadinessRecord = {
      ...newReadiness(buildId(), loaded.settings.configHash, Date.now() - 3_600_000),
      healthyMs: 3_000_000,
      untilMs: Date.now() - 1_000,
      healthyAtEnd: true,
      ...over,
    };
    writeReadiness(readinessPath(db()), record);
  };

  it('doctor finds nothing wrong with a sound set-up', async () => {
    const { code, rows, text } = await examine('doctor', env());
    // What the disk under the test is like is not the test's business.
    const wrong = [...rows.values()].filter(row => row.verdict !== 'pass');
    expect(wrong.filter(row => !row.name.startsWith('disk'))).to.deep.equal([]);
    expect(code).to.equal(wrong.length === 0 ? 0 : 1);
    expect(rows.get('signed read')?.detail).to.contain('the key is accepted');
    expect(text).to.not.contain(exchange.apiSecret);
  });

  it('doctor does not pass with a key the venue refuses', async () => {
    const { code, rows } = await examine('doctor', env({ BTCTURK_API_KEY: 'fake-key-nobody-knows' }));
    expect(code).to.equal(2);
    expect(rows.get('signed read')).to.include({ verdict: 'refused' });
  });

  it('doctor tells every problem of a configuration that would be refused', async () => {
    const { code, out } = await run(['doctor'], env({ SYMBOLS: 'btctry', LOG_LEVEL: 'loud' }));
    expect(code).to.equal(2);
    expect(out).to.contain('write SYMBOLS=BTCTRY').and.to.contain('LOG_LEVEL "loud"');
  });

  const findings: [words: string, name: string, verdict: string, arrange: () => Record<string, string>][] = [
    ['an old key', 'API key', 'warn', () => env({ BTCTURK_SECRET_ROTATED_AT: '2020-01-01' })],
    ['a key that may withdraw', 'API key', 'warn', () => env({ BTCTURK_API_SCOPES: 'read,trade,withdraw' })],
    ['a symbol the venue does not list', 'symbols', 'refused', () => env({ SYMBOLS: 'XYZTRY' })],
    ['a venue that is not there', 'venue', 'refused', () => env({ BTCTURK_BASE_URL: 'http://127.0.0.1:9' })],
    [
      'a ledger of another mode',
      'ledger',
      'refused',
      () => {
        openLedger({ path: db(), mode: 'paper' }).close();
        return env();
      },
    ],
    [
      'a file that is no ledger',
      'ledger',
      'refused',
      () => {
        writeFileSync(db(), 'no database', { mode: 0o600 });
        return env();
      },
    ],
    [
      'a ledger that others may read',
      'ledger file',
      'warn',
      () => {
        openLedger({ path: db(), mode: 'dry-run' }).close();
        chmodSync(db(), 0o644);
        return env();
      },
    ],
    [
      'a latch of an earlier run',
      'latches',
      'warn',
      () => {
        writeLatch(latchPath(db()), [
          { key: 'operator', cause: 'operator', subject: '', detail: 'SIGUSR2', placedAtMs: 1 },
        ]);
        return env();
      },
    ],
    [
      'a path too long for its socket',
      'control socket',
      'refused',
      () => {
        const deep = join(folder, 'x'.repeat(100));
        mkdirSync(deep);
        return env({ STATE_DB_PATH: join(deep, 'bot.sqlite') });
      },
    ],
  ];
  findings.push(
    ['a strategy that does not exist', 'strategy', 'refused', () => env({ STRATEGY: 'makr' })],
    [
      'a parameter that its strategy does not take',
      'strategy',
      'refused',
      () => env({ STRATEGY: 'maker', STRATEGY_CONFIG: '{"no-such":1}' }),
    ],
    [
      'a strategy file that is not there',
      'strategy',
      'refused',
      () => env({ STRATEGY: join(folder, 'mine.ts') }),
    ],
    [
      'a recording that is not there',
      'recording',
      'refused',
      () => env({ VENUE: 'paper', PAPER_RECORDING: join(folder, 'none.jsonl.gz') }),
    ],
    [
      'a token file that is not there',
      'alerts',
      'refused',
      () => env({ ALERT_TELEGRAM_CHAT_ID: '1', ALERT_TELEGRAM_TOKEN_FILE: join(folder, 'none') }),
    ],
    [
      'a port of /metrics that is taken',
      'metrics port',
      'refused',
      () =>
        env({
          OBSERVABILITY_ENABLED: 'true',
          OBSERVABILITY_METRICS_EXPORTER: 'prometheus',
          OBSERVABILITY_PROMETHEUS_PORT: new URL(exchange.url).port,
        }),
    ],
  );
  const drilled = (atMs: number, passed: boolean): Record<string, string> => {
    givenDrill({ atMs, passed });
    return env();
  };
  const day = 86_400_000;
  findings.push(
    ['a kill drill that failed', 'kill drill', 'warn', () => drilled(Date.now(), false)],
    ['a kill drill of long ago', 'kill drill', 'warn', () => drilled(Date.now() - 31 * day, true)],
    [
      'a live bot that was never drilled',
      'kill drill',
      'warn',
      () => env({ ...LIVE_FLAGS, LIVE_READINESS_MIN_MINUTES: '0' }),
    ],
    [
      'an order whose outcome was not known when the last run ended',
      'reconciliation',
      'warn',
      () => {
        const ledger = openLedger({ path: db(), mode: 'dry-run' });
        ledger.append([
          intended('c1'),
          moved('c1', { status: 'in-flight', sentAtMs: AT }),
          moved('c1', { status: 'unknown', cause: 'timeout', sinceMs: AT, filled: 0n }),
        ]);
        ledger.close();
        return env();
      },
    ],
    [
      'a missed objective',
      'objective rest_429_rate',
      'warn',
      () => {
        const slot = { atMs: Math.floor(Date.now() / SLOT_MS) * SLOT_MS };
        writeObjectives(objectivePath(db()), [
          { ...slot, tallies: { rest_429_rate: { count: 9, sum: 9, max: 2, beyond: 9 } } },
        ]);
        return env();
      },
    ],
  );
  for (const [words, name, verdict, arrange] of findings)
    it(`doctor finds ${words}`, async () => {
      const { code, rows } = await examine('doctor', arrange());
      expect(rows.get(name)).to.include({ verdict });
      expect(code).to.equal(verdict === 'warn' ? 1 : 2);
    });

  it('doctor does not call a bot absent that is there and does not answer', async () => {
    const mute = createServer();
    await new Promise<void>(resolve => mute.listen(controlSocketPath(db()), resolve));
    try {
      const { code, rows } = await examine('doctor', env());
      expect(rows.get('running bot')).to.include({ verdict: 'refused' });
      expect(rows.get('running bot')?.detail).to.contain('does not answer within');
      expect(code).to.equal(2);
    } finally {
      mute.close();
    }
  });

  it('doctor does not call a bot absent whose control socket is gone', async () => {
    const owner = openLedger({ path: db(), mode: 'dry-run' });
    try {
      const { code, rows } = await examine('doctor', env());
      expect(rows.get('running bot')).to.include({ verdict: 'refused' });
      expect(rows.get('running bot')?.detail).to.contain('owns').and.to.contain('kill -USR2');
      expect(code).to.equal(2);
    } finally {
      owner.close();
    }
    expect((await examine('doctor', env())).rows.get('running bot')).to.include({ verdict: 'pass' });
  });

  it('doctor names the key of each latch and the words that release it', async () => {
    writeLatch(latchPath(db()), [
      { key: 'foreign-order:17', cause: 'foreign-order', subject: '17', detail: 'not ours', placedAtMs: 1 },
    ]);
    const { rows } = await examine('doctor', env());
    expect(rows.get('latches')?.detail)
      .to.contain('foreign-order:17 (not ours)')
      .and.to.contain('btcbot safe-mode off --ack I_UNDERSTAND --hold KEY');
  });

  it('doctor names a latch that the ledger alone has kept', async () => {
    const ledger = openLedger({ path: db(), mode: 'paper' });
    const hold = {
      key: 'auth:reads',
      cause: 'auth',
      subject: 'reads',
      detail: 'refused',
      placedAtMs: 1,
    } as const;
    ledger.append([{ type: 'hold-placed', atMs: 1, hold }]);
    ledger.close();
    const { rows } = await examine('doctor', env());
    expect(rows.get('latches')).to.include({ verdict: 'warn' });
    expect(rows.get('latches')?.detail).to.contain('auth:reads (refused)');
  });

  it('doctor shows the scales and the least order of each pair, as the checklist compares them', async () => {
    const { rows } = await examine('doctor', env());
    expect(rows.get('symbols')?.detail).to.match(
      /^BTCTRY is listed: price to \d+ decimals, quantity to \d+, least order [\d.]+ TRY$/,
    );
  });

  it('doctor looks at the running bot: what holds it, and what reconciliation last proved', async () => {
    const world = new World(configOf()).run();
    const socket = await openControlSocket(controlSocketPath(db()), (request, command) =>
      socket.answer(request, world.ask(command)),
    );
    const report = (lagMs: number, discrepancies: readonly string[]): void =>
      world.feed({
        type: 'status-reported',
        actor: 'reconciliation',
        facts: { phase: 'running', reconciliation: { lagMs, discrepancies } },
      });
    try {
      expect((await examine('doctor', env())).rows.get('reconciliation')?.verdict).to.equal('warn');
      report(1_200, []);
      const well = await examine('doctor', env());
      expect(well.rows.get('running bot')).to.include({ verdict: 'pass', detail: 'paper, live, healthy' });
      expect(well.rows.get('reconciliation')).to.include({
        verdict: 'pass',
        detail: 'ledger and venue were proven equal 1.2 s ago',
      });
      report(61_000, []);
      expect((await examine('doctor', env())).rows.get('reconciliation')?.verdict).to.equal('warn');
      report(1_200, ['BTC: 0.1']);
      world.want('market-data', 'stale-data', 'BTCTRY');
      const ill = await examine('doctor', env());
      expect(ill.code).to.equal(1);
      expect(ill.rows.get('reconciliation')).to.include({ verdict: 'warn', detail: 'BTC: 0.1' });
      expect(ill.rows.get('running bot')?.detail).to.contain('stale-data:BTCTRY');
    } finally {
      socket.close();
    }
  });

  it('preflight passes only when nothing at all is missing', async () => {
    const settings = env(LIVE_FLAGS);
    expect((await examine('preflight', settings)).code).to.equal(1);
    givenEvidence(settings);
    givenDrill();
    const ready = await examine('preflight', settings);
    expect([...ready.rows.values()].filter(row => row.verdict === 'refused')).to.deep.equal([]);
    expect(ready.code).to.equal(0);
    for (const name of [...Object.keys(LIVE_LIMITS), ...Object.keys(LIVE_FLAGS)]) {
      const { [name]: _left, ...others } = settings;
      const { code, rows } = await examine('preflight', others);
      expect(code, name).to.equal(1);
      expect(rows.get(name)?.verdict, name).to.equal('refused');
    }
  });

  it('preflight wants evidence of this build and configuration that has not expired, and a drill of this build', async () => {
    const settings = env(LIVE_FLAGS);
    const dayMs = 86_400_000;
    const refusedNow = async (): Promise<readonly string[]> => {
      const { code, rows } = await examine('preflight', settings);
      const names = [...rows.values()].filter(row => row.verdict === 'refused').map(row => row.name);
      expect(code).to.equal(names.length === 0 ? 0 : 1);
      return names;
    };
    givenDrill();
    for (const over of [
      { build: 'another' },
      { configHash: 'another' },
      { healthyMs: 60_000 },
      { healthyAtEnd: false },
      { untilMs: Date.now() - dayMs - 1, sinceMs: Date.now() - 2 * dayMs },
    ]) {
      givenEvidence(settings, over);
      expect(await refusedNow(), JSON.stringify(over)).to.deep.equal(['healthy dry run']);
    }
    givenEvidence(settings);
    expect(await refusedNow()).to.deep.equal([]);
    for (const over of [{ build: 'another' }, { passed: false }, { atMs: Date.now() - 31 * dayMs }]) {
      givenDrill(over);
      expect(await refusedNow(), JSON.stringify(over)).to.deep.equal(['healthy dry run', 'kill drill']);
    }
    rmSync(drillPath(db()));
    expect(await refusedNow()).to.deep.equal(['healthy dry run', 'kill drill']);
  });

  it('preflight does not call a bot armed that would refuse to start', async () => {
    const settings = env({ ...LIVE_FLAGS, STRATEGY: 'makr' });
    givenEvidence(settings);
    givenDrill();
    const { code, rows } = await examine('preflight', settings);
    expect(rows.get('strategy')).to.include({ verdict: 'refused' });
    expect(code).to.equal(1);
  });

  it('preflight refuses a configuration that the bot would refuse', async () => {
    const { code, err } = await run(['preflight'], env({ MAX_OPEN_ORDERS: 'many' }));
    expect(code).to.equal(2);
    expect(err).to.contain('MAX_OPEN_ORDERS');
  });
});
