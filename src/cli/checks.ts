/** What doctor and preflight look at: each check says what it found, and what to do when that is not well. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { failureText, ListingError, readListedInstruments } from '../btcturk/listed-instruments.js';
import { createRestClient, type RestClient } from '../btcturk/rest-client.js';
import { SigningKeyError } from '../btcturk/sign.js';
import type { Instrument } from '../domain/instrument.js';
import { formatDecimal } from '../domain/money.js';
import { drillRefusals, FULL_READINESS_MINUTES } from '../domain/readiness.js';
import type { Hold } from '../domain/safety.js';
import type { SupervisorStatus } from '../domain/supervisor.js';
import { readBackupMark } from '../ledger/backup-mark.js';
import { inspectIntegrity } from '../ledger/inspect.js';
import { judgeFileSystem, lockPathOf, takeOwnership } from '../ledger/ledger-file.js';
import { type LedgerReader, openReader } from '../ledger/reader.js';
import { ledgerRefusalIn } from '../messages/ledger-refusal.js';
import { judgeObjectives } from '../operations/objective-day.js';
import { objectivePath, readObjectives } from '../operations/objective-file.js';
import { buildId } from '../runtime/build-id.js';
import { monoMs, wallMs } from '../runtime/clock.js';
import { controlSocketPath, socketPathProblem } from '../runtime/control-protocol.js';
import { latchPath, readLatch } from '../runtime/latch-file.js';
import { drillPath, readDrill } from '../runtime/readiness-file.js';
import { LIVE_ACKNOWLEDGEMENT } from '../runtime/setting-table.js';
import type { ApiCredentials, Settings } from '../runtime/settings.js';
import { askBot, Unreachable } from './control-client.js';
import { degradations } from './health.js';
import { latchedHolds } from './latched.js';
import { type Column, renderTable } from './table.js';

/** `refused`: the bot would not start, or cannot reach what it needs; `warn`: it runs, and somebody should look. */
export type Verdict = 'pass' | 'warn' | 'refused';

export interface Check {
  readonly name: string;
  readonly verdict: Verdict;
  readonly detail: string;
}

const pass = (name: string, detail: string): Check => ({ name, verdict: 'pass', detail });
const warn = (name: string, detail: string): Check => ({ name, verdict: 'warn', detail });
const refused = (name: string, detail: string): Check => ({ name, verdict: 'refused', detail });

/** Skew at which somebody should look, and at which the bot stops by itself (breaker table, `clock-skew`). */
const CLOCK_WARN_MS = 1_000;
const CLOCK_REFUSED_MS = 2_000;
const LEAST_FREE_BYTES = 256 * 1024 * 1024;
const SLOW_SYNC_MS = 50;
/** Once a day, and two hours late. */
const BACKUP_WARN_HOURS = 26;

/** Where the ledger lives: rights, space, kind of disk, and whether it keeps what it is told to keep. */
export const diskChecks = (settings: Settings): readonly Check[] => {
  const wanted = dirname(settings.stateDbPath);
  const folder = nearestExisting(wanted);
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return [refused('data folder', `${wanted} cannot be used: ${(error as Error).message}`)];
  }
  const socketProblem = socketPathProblem(controlSocketPath(settings.stateDbPath));
  const { bavail, bsize, type } = statfsSync(folder);
  const free = bavail * bsize;
  const kind = judgeFileSystem(type);
  return [
    pass('data folder', `${wanted} ${folder === wanted ? 'may be read and written' : 'can be made'}`),
    privacyCheck(settings.stateDbPath),
    socketProblem === null
      ? pass('control socket', 'its path is short enough')
      : refused('control socket', socketProblem),
    free >= LEAST_FREE_BYTES
      ? pass('disk space', `${Math.floor(free / 1_048_576)} MiB are free`)
      : warn(
          'disk space',
          `only ${Math.floor(free / 1_048_576)} MiB are free; a full disk stops all trading`,
        ),
    process.platform !== 'linux' || kind.kind === 'local'
      ? pass('disk kind', 'a local disk')
      : kind.kind === 'remote'
        ? refused('disk kind', `${folder} is on ${kind.name}: put STATE_DB_PATH on a local disk`)
        : warn('disk kind', `${folder} is on ${kind.name}: the ledger is lost with it`),
    durabilityCheck(folder),
  ];
};

const nearestExisting = (path: string): string =>
  existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));

const privacyCheck = (path: string): Check => {
  if (!existsSync(path)) return pass('ledger file', 'not made yet');
  const mode = statSync(path).mode & 0o777;
  return (mode & 0o077) === 0
    ? pass('ledger file', 'for its owner alone')
    : warn('ledger file', `others may read it (mode ${mode.toString(8)}): chmod 600 ${path}`);
};

const durabilityCheck = (folder: string): Check => {
  const probe = join(folder, `.btcbot-probe-${process.pid}`);
  try {
    const file = openSync(probe, 'w', 0o600);
    try {
      writeSync(file, 'probe');
      const before = monoMs();
      fsyncSync(file);
      const tookMs = monoMs() - before;
      return tookMs <= SLOW_SYNC_MS
        ? pass('disk sync', `${tookMs.toFixed(1)} ms`)
        : warn('disk sync', `${tookMs.toFixed(1)} ms: every order waits for one`);
    } finally {
      closeSync(file);
      rmSync(probe, { force: true });
    }
  } catch (error) {
    return refused(
      'disk sync',
      `a file in ${folder} cannot be written and synced: ${(error as Error).message}`,
    );
  }
};

/** The ledger itself: sound, and of the mode that would be run. */
export const ledgerCheck = (settings: Settings): Check => {
  const { stateDbPath, mode } = settings;
  if (!existsSync(stateDbPath)) return pass('ledger', `none yet; a ${mode} ledger would be made`);
  try {
    const check = inspectIntegrity(stateDbPath);
    const reader = openReader(stateDbPath);
    try {
      return reader.mode === mode
        ? pass('ledger', `sound (${check} check), of mode ${mode}`)
        : refused(
            'ledger',
            `${stateDbPath} holds ${reader.mode} state, and this configuration is ${mode}: give it its own STATE_DB_PATH`,
          );
    } finally {
      reader.close();
    }
  } catch (error) {
    return refused('ledger', (error as Error).message);
  }
};

/** When the ledger was last copied by hand. */
export const backupCheck = (settings: Pick<Settings, 'stateDbPath' | 'mode'>, nowMs: number): Check => {
  if (!existsSync(settings.stateDbPath)) return pass('backup', 'nothing to copy yet');
  const mark = readBackupMark(settings.stateDbPath);
  const hours = mark === null ? null : Math.floor((nowMs - mark.atMs) / 3_600_000);
  const words = mark === null ? 'none was made' : `${hours} hours old, ${mark.file}`;
  if (hours !== null && hours <= BACKUP_WARN_HOURS) return pass('backup', words);
  return settings.mode === 'live'
    ? warn('backup', `${words}: btcbot export --backup FILE`)
    : pass('backup', words);
};

/** The rehearsal of the kill. A configuration that asks for no live, or for a rehearsal of it, needs none. */
export const drillCheck = (settings: Settings): Check => {
  const drill = readDrill(drillPath(settings.stateDbPath));
  const nowMs = wallMs();
  const refusals = drillRefusals(drill, buildId(), nowMs);
  if (refusals.length === 0) {
    const days = Math.floor((nowMs - (drill?.atMs ?? nowMs)) / 86_400_000);
    return pass('kill drill', `passed ${days} days ago, zero after ${drill?.verifiedZeroMs ?? '-'} ms`);
  }
  const words = refusals.join('; ');
  if (settings.mode !== 'live') return drill === null ? pass('kill drill', words) : warn('kill drill', words);
  const needed = settings.liveReadinessMinMinutes >= FULL_READINESS_MINUTES || drill?.passed === false;
  return needed ? refused('kill drill', words) : warn('kill drill', words);
};

/** The last day against the objectives of SLO.md, as the bot has kept it. A missed one asks for a look; it refuses nothing. */
export const objectiveChecks = (settings: Pick<Settings, 'stateDbPath'>, nowMs: number): readonly Check[] => {
  const verdicts = judgeObjectives(readObjectives(objectivePath(settings.stateDbPath)), nowMs);
  if (verdicts.length === 0)
    return [pass('objectives', 'no figures of the last day: no bot ran on this data')];
  return verdicts.map(({ signal, met, words }) =>
    met ? pass(`objective ${signal}`, words) : warn(`objective ${signal}`, `${words}: see SLO.md`),
  );
};

const NO_BOT = 'none on this data';

/** Whether a process owns the ledger. Nobody who starts meanwhile is refused: a start tries for longer than this takes. */
const isOwned = (path: string): boolean => {
  if (!existsSync(lockPathOf(path))) return false;
  try {
    takeOwnership(path).release();
    return false;
  } catch (error) {
    return ledgerRefusalIn(error)?.reason === 'owned';
  }
};

/** Whether a check tells of a bot that runs, or may. */
export const isRunningBot = ({ name, detail }: Check): boolean => name === 'running bot' && detail !== NO_BOT;

/** A ledger that cannot be read has a check of its own, and hides no latch file. */
const latchedIn = (stateDbPath: string): readonly Hold[] => {
  try {
    return latchedHolds(stateDbPath);
  } catch (error) {
    if (ledgerRefusalIn(error) === undefined) throw error;
    return readLatch(latchPath(stateDbPath));
  }
};

/** What an earlier run left latched, and what a running bot says of itself. */
export const botChecks = async (settings: Settings): Promise<readonly Check[]> => {
  const latched = latchedIn(settings.stateDbPath);
  const latchCheck =
    latched.length === 0
      ? pass('latches', 'none')
      : warn(
          'latches',
          `${latched.map(hold => `${hold.key} (${hold.detail})`).join(', ')}: on the running bot, btcbot safe-mode off --ack ${LIVE_ACKNOWLEDGEMENT} --hold KEY releases one by its key`,
        );
  let status: SupervisorStatus | undefined;
  try {
    ({ status } = await askBot(controlSocketPath(settings.stateDbPath), { type: 'status' }));
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    if (!error.absent) return [latchCheck, refused('running bot', error.message), restingCheck(settings)];
  }
  if (status === undefined)
    return [
      latchCheck,
      isOwned(settings.stateDbPath)
        ? refused(
            'running bot',
            `a bot owns ${settings.stateDbPath} and listens nowhere: it is just starting, or its control socket was removed; fuser ${lockPathOf(settings.stateDbPath)} finds its process, kill -USR2 holds its writes, a restart brings the socket back`,
          )
        : pass('running bot', NO_BOT),
      restingCheck(settings),
    ];
  const reasons = degradations(status);
  return [
    latchCheck,
    reasons.length === 0
      ? pass('running bot', `${status.mode}, ${status.state}, healthy`)
      : warn('running bot', reasons.join('; ')),
    reconciliationCheck(status, settings),
  ];
};

/** What reconciliation last proved, and how long ago. */
export const reconciliationCheck = (
  status: SupervisorStatus,
  settings: Pick<Settings, 'reconcileMaxLagMs'>,
): Check => {
  const name = 'reconciliation';
  const { phase, reconciliation } = (status.workers.reconciliation?.facts ?? {}) as {
    readonly phase?: string;
    readonly reconciliation?: { readonly lagMs: number; readonly discrepancies: readonly string[] };
  };
  if (reconciliation === undefined) return warn(name, 'it has not reported yet');
  if (phase === 'observing') return pass(name, 'there is no account to compare with: no key');
  const { lagMs, discrepancies } = reconciliation;
  if (discrepancies.length > 0) return warn(name, discrepancies.join('; '));
  const words = `ledger and venue were proven equal ${(lagMs / 1_000).toFixed(1)} s ago`;
  return lagMs > settings.reconcileMaxLagMs
    ? warn(name, `${words}: btcbot status says why`)
    : pass(name, words);
};

/** Without a running bot: what the ledger says that may still rest at the venue. */
const restingCheck = (settings: Pick<Settings, 'stateDbPath'>): Check => {
  const name = 'reconciliation';
  if (!existsSync(settings.stateDbPath)) return pass(name, 'nothing to compare yet');
  let reader: LedgerReader | null = null;
  try {
    reader = openReader(settings.stateDbPath);
    const open = reader.orders({ open: true });
    const unknown = open.filter(({ order }) => order.state.status === 'unknown').length;
    const words = `${open.length} order(s) were open when the last run ended`;
    return unknown === 0
      ? pass(name, `${words}; the next start looks for them`)
      : warn(name, `${words}, the outcome of ${unknown} is not known: start the bot, it looks for them`);
  } catch (error) {
    return warn(name, `the ledger does not say: ${(error as Error).message}`);
  } finally {
    reader?.close();
  }
};

/** The venue: reachable, in time, listing our symbols, and accepting our key for a read. */
export const venueChecks = async (
  settings: Settings,
  credentials: ApiCredentials | null,
): Promise<readonly Check[]> => {
  if (settings.venue === 'paper') return [pass('venue', 'the embedded exchange')];
  let client: RestClient;
  try {
    client = createRestClient({ endpoints: settings.endpoints, credentials });
  } catch (error) {
    if (!(error instanceof SigningKeyError)) throw error;
    return [refused('API key', error.message)];
  }
  try {
    const reached = await reachCheck(client, settings);
    if (reached.verdict === 'refused') return [reached];
    return [
      reached,
      clockCheck(client),
      await listingCheck(client, settings),
      await signedReadCheck(client, settings, credentials),
    ];
  } finally {
    await client.close();
  }
};

const reachCheck = async (client: RestClient, settings: Settings): Promise<Check> => {
  const result = await client.read({ type: 'server-time' });
  return result.ok
    ? pass('venue', `${settings.endpoints.baseUrl} answers in ${Math.round(result.tookMs)} ms`)
    : refused(
        'venue',
        `${settings.endpoints.baseUrl} cannot be read: ${failureText(result.failure)}; check DNS, TLS and the network`,
      );
};

const clockCheck = (client: RestClient): Check => {
  const clock = client.clock();
  if (clock === null) return warn('clock', 'not measured');
  const words = `${Math.round(clock.offsetMs)} ms between the venue's clock and ours`;
  const skewMs = Math.abs(clock.offsetMs) - clock.roundTripMs / 2;
  if (skewMs > CLOCK_REFUSED_MS)
    return refused('clock', `${words}: the venue refuses signatures; set the clock`);
  return skewMs > CLOCK_WARN_MS ? warn('clock', `${words}: set the clock`) : pass('clock', words);
};

const listingCheck = async (client: RestClient, settings: Settings): Promise<Check> => {
  try {
    const listed = await readListedInstruments(client, settings.symbols, monoMs);
    const closed = listed.filter(instrument => instrument.status !== 'TRADING');
    return closed.length === 0
      ? pass('symbols', listed.map(listingText).join('; '))
      : warn('symbols', closed.map(instrument => `${instrument.symbol} is ${instrument.status}`).join(', '));
  } catch (error) {
    if (!(error instanceof ListingError)) throw error;
    return refused('symbols', error.message);
  }
};

/** The scales and minima of a pair, to be compared with the venue's own page. */
const listingText = ({ symbol, priceScale, quantityScale, minNotional, quote }: Instrument): string =>
  `${symbol} is listed: price to ${priceScale} decimals, quantity to ${quantityScale}, least order ${formatDecimal(minNotional)} ${quote}`;

const signedReadCheck = async (
  client: RestClient,
  settings: Settings,
  credentials: ApiCredentials | null,
): Promise<Check> => {
  if (credentials === null)
    return settings.mode === 'live'
      ? refused('signed read', 'there is no API key, and live needs one')
      : pass('signed read', 'no API key is given, and this mode needs none');
  const result = await client.read({ type: 'balances' });
  return result.ok
    ? pass('signed read', `the key is accepted; ${result.value.balances.length} balances`)
    : refused('signed read', `the key is not accepted: ${failureText(result.failure)}`);
};

const COLUMNS: readonly Column<Check>[] = [
  { title: 'check', cell: check => check.name },
  { title: 'verdict', cell: check => check.verdict },
  { title: 'found', cell: check => check.detail },
];

export const checksText = (checks: readonly Check[]): string =>
  renderTable(COLUMNS, checks, 'nothing was checked');
