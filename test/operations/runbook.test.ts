import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const STORY = 'test/operations/story.test.ts';
const SUPERVISION = 'test/supervision/stories.test.ts';
const SUPERVISOR = 'test/domain/supervisor.test.ts';
const CANARY = 'test/cli/canary.test.ts';
const MODE = 'test/runtime/mode.test.ts';
const EXECUTION = 'test/domain/execution.test.ts';
const RECONCILIATION = 'test/domain/reconciliation';
const CONTROL = 'test/cli/control.test.ts';
const DOCTOR = 'test/cli/doctor.test.ts';
const STORE = 'test/ledger/store.test.ts';
const MIGRATIONS = 'test/ledger/migrations.test.ts';
const CONFIG = 'test/runtime/config.test.ts';
const MARKET = 'test/domain/market-data.test.ts';
const METERS = 'test/runtime/metrics.test.ts';

/** Each promise of the runbook, and the test that shows it: its file, and its title as it stands there. */
const PROOFS: Readonly<Record<string, readonly [file: string, title: string]>> = {
  'command-stops-writes': [
    STORY,
    'stops every write by one command, to its end, tells of it, and refuses to pull orders then',
  ],
  'signal-stops-writes': [SUPERVISION, 'forces safe mode on SIGUSR2, also across a kill'],
  'variable-stops-writes': [STORY, 'observes, and says why, when SAFE_MODE=true meets every live flag'],
  'safe-mode-wins': [MODE, 'arm nothing in any other of all combinations of their forms'],
  'dry-run-writes-nowhere': [
    'test/workers/execution.test.ts',
    'turns to no account beyond this machine unless it is live',
  ],
  'malformed-is-safest': [MODE, 'never stop the start, and count malformed as the safest'],
  'banner-says-why': [SUPERVISOR, 'shows the state and every reason in the banner'],
  'modes-share-no-file': [STORE, 'of another mode are refused and left as they are'],
  'doctor-judges': [DOCTOR, 'doctor finds nothing wrong with a sound set-up'],
  'preflight-lists': [DOCTOR, 'preflight passes only when nothing at all is missing'],
  'canary-ends-flat': [
    CANARY,
    'rests and cancels on both sides, buys and sells once, ends flat, and leaves its evidence',
  ],
  'canary-needs-all': [CANARY, 'is refused by the bot itself where it is not armed, whoever starts it'],
  'canary-never-more': [
    'test/runtime/canary-settings.test.ts',
    'never give more rights than the operator’s own, and have caps of their own',
  ],
  'canary-stops-at-warning': [CANARY, 'stops at the first warning, and sends nothing more'],
  'drill-is-evidence': [
    DOCTOR,
    'preflight wants evidence of this build and configuration that has not expired, and a drill of this build',
  ],
  'drill-believes-no-old-word': [
    'test/domain/supervisor.test.ts',
    'believes no report that was made before its order was heard',
  ],
  'evidence-is-gathered': ['test/domain/readiness.test.ts', 'grows by the time in which nothing is held'],
  'live-needs-everything': [MODE, 'arm the bot in the one right combination'],
  'restart-arms-nothing-stale': [
    'test/domain/readiness.test.ts',
    'is met by enough, recent, healthy time of the same build and configuration',
  ],
  'cancel-all-under-kill-switch': [EXECUTION, 'under the kill switch is for the operator’s hand alone'],
  'cancel-all-refused-in-safe-mode': [CONTROL, 'cancel-all reaches execution, and is refused in safe mode'],
  'latch-stops-direct-cancels': [
    'test/cli/cancel-all.test.ts',
    'refuses over a latched safe mode, which a running bot would refuse too',
  ],
  'late-release-is-dropped': [
    'test/supervision/control-socket.test.ts',
    'releases nothing for an asker who gave up while the process stood still, and holds all the same',
  ],
  'unwritten-latch-is-told': [
    SUPERVISION,
    'says when no disk takes the latch of a safe mode, and writes it once one does',
  ],
  'maintenance-passes': [
    'test/domain/venue-block.test.ts',
    'is tried again after minutes by one order alone, and is over when the venue takes it',
  ],
  'stopped-strategy-is-named': [
    CONTROL,
    'status and health name a strategy that was stopped, alone and among others',
  ],
  'release-needs-words': [SUPERVISOR, 'lets go of safe mode only with the words, and only in a clean state'],
  'stop-is-clean': [
    SUPERVISION,
    'starts in order, gives keys only to those that sign, forbids new orders before it stops anybody, stops in reverse',
  ],
  'left-orders-are-named': [EXECUTION, 'names what it was told to cancel and leaves, and why'],
  'second-signal-forces': [SUPERVISION, 'leaves with 4 at the second signal, without waiting'],
  'kill-loses-nothing': [
    'test/scenarios/trades-end-to-end.test.ts',
    'keeps its books through a kill in mid-trade and ends cleanly at the first Ctrl-C',
  ],
  'recovery-before-writes': [
    SUPERVISOR,
    'lets nothing be written before every worker is up and the account is proven',
  ],
  'problems-told-at-once': [CONFIG, 'are all told at once, each with where, what and what to do'],
  'one-owner': [STORE, 'have one owner at a time, in this process too'],
  'health-exit-codes': [
    CONTROL,
    'health is 0 when all is well, 1 when something is not, 2 when nobody answers',
  ],
  'views-are-stable': [STORE, 'v_orders and v_fills show exact amounts and UTC times'],
  'logs-are-lines': [
    'test/runtime/log.test.ts',
    'stays one line of at most 8 KiB that parses, whatever the facts hold',
  ],
  'stopped-reader-blocks-nobody': [
    'test/operations/stopped-reader.test.ts',
    'trades on, does not grow, and ends cleanly',
  ],
  'unread-lines-are-counted': [
    'test/runtime/stdout-sink.test.ts',
    'drops and counts what a stopped reader leaves no room for, and never grows',
  ],
  'prometheus-scrapes': [
    STORY,
    'is scraped by a real Prometheus server, whose rules fire for what happened and for nothing else',
  ],
  'otlp-pushes': [STORY, 'pushes the eight signals over OTLP, and goes on trading when the collector hangs'],
  'dead-collector-changes-nothing': [METERS, 'push to a collector, and end although it hangs'],
  'alerts-within-5s': [
    'test/operations/alerts.test.ts',
    'tries a receiver that hangs again in time for the 5 s an alert may take, and twice in any case',
  ],
  'alerts-never-block': [
    'test/operations/alerts.test.ts',
    'never waits for a receiver that hangs, drops the oldest beyond its bound, and ends in time',
  ],
  'alerts-outlast-an-outage': [
    'test/operations/alerts.test.ts',
    'goes on trying while a receiver is down, and takes along what happened meanwhile',
  ],
  'secret-order': [
    CONFIG,
    'come from the environment first, then from mounted files, then from the dotenv file',
  ],
  'secrets-held-by-signers': [
    SUPERVISION,
    'starts in order, gives keys only to those that sign, forbids new orders before it stops anybody, stops in reverse',
  ],
  'file-secrets-stay-out-of-environ': [
    STORY,
    'shows its secrets nowhere, in no encoding, after every fault at trace level',
  ],
  'secrets-never-appear': [
    STORY,
    'shows its secrets nowhere, in no encoding, after every fault at trace level',
  ],
  'scopes-and-age': [MODE, 'accept a key on its last day'],
  'bad-key-found-first': [DOCTOR, 'doctor does not pass with a key the venue refuses'],
  'rotation-proves-first': [
    'test/operations/key-rotation.test.ts',
    'that is good is taken up by every signer, and trading goes on after the old one is revoked',
  ],
  'bad-key-changes-nothing': [
    'test/operations/key-rotation.test.ts',
    'is refused: the old one stays in use, orders rest, reconciliation goes on',
  ],
  'foreign-key-refused': ['test/operations/key-rotation.test.ts', 'of another account, however good,'],
  'doctor-sees-the-running-bot': [
    DOCTOR,
    'doctor looks at the running bot: what holds it, and what reconciliation last proved',
  ],
  'doctor-judges-the-day': [
    'test/operations/objective-day.test.ts',
    'is what doctor shows, a missed objective as a warning',
  ],
  'signatures-never-appear': [
    'test/runtime/secrets.test.ts',
    'takes out signatures, which nobody keeps, plain, URL-encoded and JSON-escaped',
  ],
  'restore-catches-up': [
    'test/operations/restore.test.ts',
    'catches up with what was traded since, to the last digit',
  ],
  'image-runs-hardened': [
    'test/container/container.test.ts',
    'trades on paper, is healthy, and ends with 0 at SIGTERM',
  ],
  'restarts-are-bounded': [
    'test/container/container.test.ts',
    'restarts a bounded number of times, and no restart arms what the evidence does not cover',
  ],
  'settings-change-something': [
    'test/operations/settings.test.ts',
    'names a test that shows what it changes',
  ],
  'signals-move': [
    'test/operations/signals.test.ts',
    'stay at rest for a clean hour, and no alert fires in any minute of it',
  ],
  'no-secret-in-config-file': [CONFIG, 'say that a secret does not belong in a file'],
  'revoked-key-stops': [
    `${RECONCILIATION}/upkeep.test.ts`,
    'of the key three times in a row stop every signed read until the operator releases the hold',
  ],
  'throttled-bucket-rests': [
    EXECUTION,
    'hold a bucket after a 429, leave cancels alone, and say when the pause is over',
  ],
  'reconnect-storm-holds': [
    MARKET,
    'wants a hold in a reconnect storm and clears it after a minute of useful data',
  ],
  'stale-data-holds': [
    MARKET,
    'calls a book stale without proof for longer than the limit, wants a hold, and says when it is over',
  ],
  'reconcile-lag-holds': [
    `${RECONCILIATION}/recovery.test.ts`,
    'says nothing of recovery while the venue does not answer, and holds for the lag',
  ],
  'unknown-is-never-resent': [
    EXECUTION,
    'refuses to hand an order over twice, whatever happened to its state',
  ],
  'unknown-ends-by-proof': [
    `${RECONCILIATION}/evidence.test.ts`,
    'is never declared absent by a number of tries, however long reads fail',
  ],
  'foreign-is-never-touched': [
    `${RECONCILIATION}/booking.test.ts`,
    'is found among the open orders, held on, and let go of when the venue says that it ended',
  ],
  'residual-is-named': [
    `${RECONCILIATION}/booking.test.ts`,
    'names a difference to the last digit, in the metric, the status and the hold, and never before it had its time',
  ],
  'release-adopts-difference': [
    `${RECONCILIATION}/booking.test.ts`,
    'takes a difference as a correction when the operator releases the hold, and goes on from there',
  ],
  'full-disk-heals': [
    'test/ledger/durability.test.ts',
    'is full, the group fails whole, nothing more is taken, and room heals it',
  ],
  'damaged-ledger-refused': [STORE, 'that are damaged inside are refused with what was found'],
  'newer-schema-refused': [STORE, 'with a newer schema are refused'],
  'crash-loop-latches': [
    SUPERVISION,
    'latches when a worker keeps crashing, keeps control and telemetry up, and remembers it',
  ],
  'poison-is-left-out': [SUPERVISION, 'leaves a message out that a worker crashed on three times'],
  'holds-survive': [
    'test/domain/hold-set.test.ts',
    'keeps across restarts exactly what only an operator may release',
  ],
  'backup-while-running': [
    'test/cli/books.test.ts',
    '--backup is consistent while another process writes as fast as it can',
  ],
  'backup-opens': ['test/cli/books.test.ts', '--backup copies a database in use'],
  'migration-backs-up': [MIGRATIONS, 'bring an older file forward, with a copy of it taken first'],
  'killed-migration-repeats': [MIGRATIONS, 'killed in the middle lose nothing and are repeated whole'],
  'settings-refused-with-suggestion': [
    'test/scenarios/refusals.test.ts',
    'malformed and unknown settings, all at once, with a suggestion',
  ],
};

const runbook = readFileSync(join(ROOT, 'RUNBOOK.md'), 'utf8');
const sourceFiles = (folder: string): readonly string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => join(ROOT, folder, name));
const promised = [...runbook.matchAll(/<!-- promise: ([a-z0-9-]+) -->/g)].map(match => match[1] ?? '');
const verbs = [...runbook.matchAll(/btcbot ([a-z]+(?:-[a-z]+)*)/g)].map(match => match[1] ?? '');

describe('the runbook', () => {
  it('makes no promise twice, and none without a test', () => {
    expect(new Set(promised).size).to.equal(promised.length);
    expect(promised.filter(id => PROOFS[id] === undefined)).to.deep.equal([]);
    expect(Object.keys(PROOFS).filter(id => !promised.includes(id))).to.deep.equal([]);
  });

  for (const [id, [file, title]] of Object.entries(PROOFS))
    it(`keeps its promise ${id} by a test that exists`, () => {
      const source = readFileSync(join(ROOT, file), 'utf8');
      expect(source.includes(title), `${file} has the title ${title}`).to.equal(true);
    });

  it('names only verbs that btcbot has', async () => {
    const { VERBS } = await import('#src/cli/verbs.js');
    const known = new Set<string>(VERBS.map(({ name }) => name));
    const words = new Set(['stands', 'node']);
    expect(verbs.filter(verb => !known.has(verb) && !words.has(verb))).to.deep.equal([]);
  });

  it('names only events, states, kinds and causes that the code has', () => {
    const sources = [...sourceFiles('src'), ...sourceFiles('workers')]
      .map(file => readFileSync(file, 'utf8'))
      .join('\n');
    const names = [...runbook.matchAll(/`([a-z]+(?:-[a-z]+)+)`/g)].map(match => match[1] ?? '');
    const settings = [...runbook.matchAll(/\b[A-Z]{2,}(?:_[A-Z0-9]+)+\b/g)].map(match => match[0]);
    expect(names.length).to.be.greaterThan(50);
    expect(names.filter(name => !sources.includes(`'${name}'`))).to.deep.equal([]);
    expect(settings.filter(name => !sources.includes(name))).to.deep.equal([]);
  });

  it('sends its reader only to headings that exist', () => {
    const anchors = new Set(
      (runbook.match(/^#+ .+$/gm) ?? []).map(heading =>
        heading
          .replace(/^#+ /, '')
          .toLowerCase()
          .replace(/[^\p{L}\p{N} -]/gu, '')
          .replaceAll(' ', '-'),
      ),
    );
    for (const [, anchor = ''] of runbook.matchAll(/\]\(#([^)]+)\)/g))
      expect(anchors.has(anchor), anchor).to.equal(true);
  });
});
