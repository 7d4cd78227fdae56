import { expect } from 'chai';
import { tradingControl } from '#src/domain/trading-state.js';
import { loadSettings } from '#src/runtime/config.js';
import { decideMode, FLAG_NAMES, type FlagReadings, readFlag } from '#src/runtime/mode.js';
import type { Settings } from '#src/runtime/settings.js';

const NOW = Date.parse('2026-09-23T12:00:00Z');
const LIMITS = {
  MAX_NOTIONAL_PER_ORDER_TRY: '1000',
  MAX_POSITION_NOTIONAL_TRY: '2000',
  MAX_GROSS_EXPOSURE_TRY: '3000',
  MAX_DAILY_LOSS_TRY: '100',
  MAX_DRAWDOWN_PCT: '5',
  PRICE_COLLAR_BPS: '50',
  MAX_ORDERS_PER_MINUTE: '10',
  MAX_REPEATED_EXECUTIONS: '5',
};
const SECRETS = {
  BTCTURK_API_KEY: 'fake-api-key-for-tests',
  BTCTURK_API_SECRET: 'ZmFrZS1hcGktc2VjcmV0LWZvci10ZXN0cw==',
  BTCTURK_API_SCOPES: 'read,trade',
  BTCTURK_SECRET_ROTATED_AT: '2026-09-01T00:00:00Z',
};
const FLAGS = {
  SAFE_MODE: 'false',
  DRY_RUN: 'false',
  KILL_SWITCH: 'false',
  LIVE_TRADING: 'true',
  LIVE_TRADING_ACK: 'I_UNDERSTAND',
};
const ARMED = { ...LIMITS, ...SECRETS, ...FLAGS };

const settingsOf = (
  env: Readonly<Record<string, string | undefined>>,
  evidence: readonly string[] = [],
): Settings => {
  const loaded = loadSettings({
    env,
    cwd: '/home/bot',
    readFile: () => {
      throw new Error('no such file');
    },
    nowMs: NOW,
    evidenceRefusals: () => evidence,
  });
  if (!loaded.ok) throw new Error(loaded.problems.map(each => `${each.name} ${each.problem}`).join('\n'));
  return loaded.settings;
};

/** What the supervisor makes of settings once everything is up and nothing is held. */
const controlOf = (settings: Settings) =>
  tradingControl(
    {
      mode: settings.mode,
      ...settings.flags,
      modeReasons: settings.modeReasons,
      symbols: settings.symbols,
      holds: [],
      stopping: null,
    },
    1,
  );
const writesForReal = (settings: Settings): boolean => {
  const { maySubmit, mayCancel } = controlOf(settings);
  return settings.mode === 'live' && (maySubmit || mayCancel);
};

/** Every form a flag was ever seen in; undefined is unset. */
const FORMS = [
  undefined,
  '',
  'true',
  'false',
  'TRUE',
  'False',
  ' true',
  'false ',
  '1',
  '0',
  'yes',
  'no',
  'on',
  'garbage',
  'I_UNDERSTAND',
  'i_understand',
] as const;

describe('the mode flags', () => {
  it('arm the bot in the one right combination', () => {
    const settings = settingsOf(ARMED);
    expect(settings.modeReasons).to.deep.equal([]);
    expect(controlOf(settings)).to.include({ mode: 'live', state: 'live', maySubmit: true, mayCancel: true });
  });

  for (const name of FLAG_NAMES)
    for (const form of FORMS) {
      if (form === FLAGS[name]) continue;
      it(`let no real write through with ${name} ${form === undefined ? 'unset' : `= ${JSON.stringify(form)}`}`, () => {
        const settings = settingsOf({ ...ARMED, [name]: form });
        expect(writesForReal(settings)).to.equal(false);
        expect(settings.modeReasons.some(reason => reason.startsWith(name))).to.equal(true);
      });
    }

  it('arm nothing in any other of all combinations of their forms', () => {
    const forms = [undefined, '', 'true', 'false', 'TRUE', ' true', '1', 'yes', 'garbage'] as const;
    const words = [
      undefined,
      '',
      'I_UNDERSTAND',
      'i_understand',
      ' I_UNDERSTAND',
      'true',
      'garbage',
    ] as const;
    let armed = 0;
    for (const SAFE_MODE of forms)
      for (const DRY_RUN of forms)
        for (const KILL_SWITCH of forms)
          for (const LIVE_TRADING of forms)
            for (const LIVE_TRADING_ACK of words) {
              const given = { SAFE_MODE, DRY_RUN, KILL_SWITCH, LIVE_TRADING, LIVE_TRADING_ACK };
              const readings = Object.fromEntries(
                FLAG_NAMES.map(name => [name, readFlag(name, given[name], 'environment')]),
              ) as unknown as FlagReadings;
              const { mode, reasons } = decideMode('btcturk', readings, []);
              if (mode !== 'live' || reasons.length > 0) continue;
              armed += 1;
              expect(given).to.deep.equal(FLAGS);
            }
    expect(armed).to.equal(1);
  });

  it('never stop the start, and count malformed as the safest', () => {
    const settings = settingsOf({
      SAFE_MODE: 'TRUE',
      DRY_RUN: '0',
      KILL_SWITCH: 'nein',
      LIVE_TRADING: 'yes',
    });
    expect(settings.flags).to.deep.equal({
      safeMode: true,
      dryRun: true,
      killSwitch: true,
      liveTrading: false,
      liveAcknowledged: false,
    });
    expect(settings.modeReasons).to.include(
      'DRY_RUN is "0" in environment, which is malformed: it counts as true',
    );
    expect(settings.modeReasons).to.include('LIVE_TRADING_ACK is not set: it counts as not given');
  });

  for (const [flags, state] of [
    [{ SAFE_MODE: 'true' }, 'observe-only'],
    [{ KILL_SWITCH: 'true' }, 'killed'],
    [{ SAFE_MODE: 'true', KILL_SWITCH: 'true' }, 'observe-only'],
  ] as const)
    it(`keep watching the live account with ${JSON.stringify(flags)}: the ledger stays the live one, the state is ${state}`, () => {
      const settings = settingsOf({ ...ARMED, ...flags });
      expect(settings.mode).to.equal('live');
      expect(controlOf(settings)).to.include({ state, maySubmit: false, mayCancel: false });
    });

  it('put the bot into dry run unless live is asked for in so many words', () => {
    for (const change of [{ DRY_RUN: 'true' }, { LIVE_TRADING: 'false' }, { LIVE_TRADING_ACK: undefined }])
      expect(settingsOf({ ...ARMED, ...change }).mode).to.equal('dry-run');
  });

  for (const [words, change, reason] of [
    ...Object.keys(LIMITS).map(
      name => [`without ${name}`, { [name]: undefined }, `${name} is not set`] as const,
    ),
    [
      'without a key',
      { BTCTURK_API_KEY: undefined, BTCTURK_API_SECRET: undefined },
      'BTCTURK_API_KEY and BTCTURK_API_SECRET are not set',
    ],
    ['without scopes', { BTCTURK_API_SCOPES: undefined }, 'BTCTURK_API_SCOPES does not contain read'],
    ['without the trade scope', { BTCTURK_API_SCOPES: 'read' }, 'BTCTURK_API_SCOPES does not contain trade'],
    [
      'with a key that may withdraw',
      { BTCTURK_API_SCOPES: 'read,trade,withdraw' },
      'BTCTURK_API_SCOPES contains withdraw',
    ],
    [
      'without the key’s age',
      { BTCTURK_SECRET_ROTATED_AT: undefined },
      'BTCTURK_SECRET_ROTATED_AT is not set',
    ],
    ['with an old key', { BTCTURK_SECRET_ROTATED_AT: '2026-06-24T12:00:00Z' }, 'the key is 91 days old'],
    [
      'with a key of tomorrow',
      { BTCTURK_SECRET_ROTATED_AT: '2026-09-24' },
      'BTCTURK_SECRET_ROTATED_AT is in the future',
    ],
    [
      'with an unreadable age',
      { BTCTURK_SECRET_ROTATED_AT: 'last tuesday' },
      'BTCTURK_SECRET_ROTATED_AT is not an ISO-8601 time',
    ],
    [
      'with a day that does not exist',
      { BTCTURK_SECRET_ROTATED_AT: '2026-02-31' },
      'BTCTURK_SECRET_ROTATED_AT is not an ISO-8601 time',
    ],
  ] as const)
    it(`arm nothing ${words}, and say why`, () => {
      const settings = settingsOf({ ...ARMED, ...change });
      expect(writesForReal(settings)).to.equal(false);
      expect(controlOf(settings).state).to.equal('observe-only');
      expect(settings.modeReasons.join('\n')).to.contain(reason);
    });

  it('accept a key on its last day', () => {
    expect(
      writesForReal(settingsOf({ ...ARMED, BTCTURK_SECRET_ROTATED_AT: '2026-06-25T12:00:00Z' })),
    ).to.equal(true);
  });

  it('follow the greatest age that was set for the key', () => {
    const tenDaysOld = { ...ARMED, BTCTURK_SECRET_ROTATED_AT: '2026-09-13T12:00:00Z' };
    expect(writesForReal(settingsOf({ ...tenDaysOld, BTCTURK_SECRET_MAX_AGE_DAYS: '11' }))).to.equal(true);
    const strict = settingsOf({ ...tenDaysOld, BTCTURK_SECRET_MAX_AGE_DAYS: '9' });
    expect(writesForReal(strict)).to.equal(false);
    expect(strict.modeReasons.join()).to.contain('more than BTCTURK_SECRET_MAX_AGE_DAYS (9)');
  });

  it('arm nothing without evidence', () => {
    const settings = settingsOf(ARMED, ['no evidence']);
    expect(writesForReal(settings)).to.equal(false);
    expect(settings.modeReasons).to.deep.equal(['no evidence']);
  });

  it('let the bot trade on the embedded exchange when they are unset, and win when they are set', () => {
    const paper = settingsOf({ VENUE: 'paper' });
    expect(paper.mode).to.equal('paper');
    expect(controlOf(paper)).to.include({ state: 'live', maySubmit: true });
    expect(paper.modeReasons).to.deep.equal(['VENUE is paper: orders go to the embedded exchange']);
    for (const name of ['SAFE_MODE', 'DRY_RUN', 'KILL_SWITCH'] as const)
      for (const form of ['true', 'TRUE', '', 'garbage']) {
        const settings = settingsOf({ VENUE: 'paper', [name]: form });
        expect(controlOf(settings).maySubmit, `${name}=${form}`).to.equal(false);
        expect(controlOf(settings).mayCancel, `${name}=${form}`).to.equal(false);
      }
  });

  it('never make paper live', () => {
    expect(settingsOf({ ...ARMED, VENUE: 'paper' }).mode).to.equal('paper');
  });

  it('put practice limits where none is set, except for live', () => {
    expect(settingsOf({ VENUE: 'paper' }).risk.maxOrdersPerMinute).to.equal(120);
    expect(settingsOf({}).risk.maxDrawdownPct).to.equal(20);
    expect(settingsOf({ ...ARMED, MAX_DRAWDOWN_PCT: undefined }).risk.maxDrawdownPct).to.equal(null);
  });
});
