import { decimalsOf, tryParseDecimal } from '../domain/money.js';
import { AccountFileError } from '../exchange/account-file.js';
import { FAULTS, FaultError, type FaultSpec, parseFault } from '../exchange/faults.js';
import { FEE_LEVELS } from '../exchange/fees.js';
import { MirrorError } from '../exchange/mirror.js';
import { RecordingError } from '../exchange/recording.js';
import { startExchange } from '../exchange/server.js';
import { ExchangeError, type ExchangeMarket, type ExchangeOptions } from '../exchange/setup.js';
import { renderProblem } from '../runtime/config.js';
import { joinedSymbol, noPositionals } from './books.js';
import { loadForCli } from './settings.js';
import type { Verb, VerbIo } from './verb.js';

/** `btcbot exchange`: the embedded exchange alone, a sandbox for anything that speaks BtcTurk. */
export const verb: Verb = {
  name: 'exchange',
  usage:
    'exchange [--port 8080] [--symbols BTCTRY,ETHTRY] [--seed N] [--recording FILE [--speed 20|max] | --mirror] [--fault NAME[=VALUE][,on=submit][,probability=0.1][,count=3]]… [--balances TRY=100000,BTC=1] [--account FILE] [--list-faults]',
  about: 'Serve a local BtcTurk on loopback: REST, charts, WebSocket, a paper account, and faults to order',
  options: {
    port: { type: 'string', default: '8080' },
    host: { type: 'string', default: '127.0.0.1' },
    symbols: { type: 'string', default: 'BTCTRY' },
    seed: { type: 'string', default: '1' },
    recording: { type: 'string' },
    speed: { type: 'string', default: '1' },
    mirror: { type: 'boolean', default: false },
    fault: { type: 'string', multiple: true },
    balances: { type: 'string', default: 'TRY=1000000,USDT=25000,BTC=0.5,ETH=10' },
    'fee-level': { type: 'string', default: '1' },
    'submit-ms': { type: 'string' },
    'cancel-ms': { type: 'string' },
    account: { type: 'string' },
    key: { type: 'string' },
    secret: { type: 'string' },
    'list-faults': { type: 'boolean', default: false },
  },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    if (values['list-faults'] === true) {
      listFaults(io, values.json === true);
      return 0;
    }
    const problems: string[] = [];
    const options = readOptions(values, io, problems);
    if (problems.length > 0) {
      for (const problem of problems) io.err(`exchange: ${problem}\n`);
      return 2;
    }
    // Looked at first: whoever reads the announcement may stop it at once.
    const { signal } = io;
    try {
      const exchange = await startExchange(options);
      announce(io, exchange, values.json === true);
      await Promise.race([exchange.finished.then(reason => io.err(`${reason}\n`)), aborted(signal)]);
      await exchange.close();
      return 0;
    } catch (error) {
      if (isRefusal(error)) {
        io.err(`exchange: ${error.message}\n`);
        return 2;
      }
      throw error;
    }
  },
};

const isRefusal = (error: unknown): error is Error =>
  error instanceof ExchangeError ||
  error instanceof RecordingError ||
  error instanceof AccountFileError ||
  error instanceof MirrorError;

const readOptions = (
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
  problems: string[],
): ExchangeOptions => {
  const text = (name: string): string | undefined =>
    typeof values[name] === 'string' ? (values[name] as string) : undefined;
  const whole = (name: string, least: number, most: number): number | undefined => {
    const given = text(name);
    if (given === undefined) return undefined;
    const value = Number(given);
    if (/^\d+$/.test(given) && value >= least && value <= most) return value;
    problems.push(`--${name} ${given}: a whole number from ${least} to ${most} is needed`);
    return undefined;
  };
  const faults: FaultSpec[] = [];
  for (const given of Array.isArray(values.fault) ? (values.fault as string[]) : [])
    try {
      faults.push(parseFault(given));
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      problems.push(`--fault ${given}: ${error.message}`);
    }
  const symbols = (text('symbols') ?? '')
    .split(',')
    .map(joinedSymbol)
    .filter(symbol => symbol !== '');
  const recording = text('recording');
  const key = text('key');
  const secret = text('secret');
  if ((key === undefined) !== (secret === undefined)) problems.push('--key and --secret go together');
  const submitMs = whole('submit-ms', 0, 600_000);
  const cancelMs = whole('cancel-ms', 0, 600_000);
  const account = text('account');
  if (values.mirror === true && recording !== undefined)
    problems.push('--mirror and --recording: one market at a time');
  const market: ExchangeMarket =
    values.mirror === true
      ? mirroredMarket(values, io, problems)
      : recording === undefined
        ? { type: 'generated' }
        : { type: 'recording', path: recording, speed: readSpeed(text('speed') ?? '1', problems) };
  return {
    host: text('host') ?? '127.0.0.1',
    port: whole('port', 0, 65_535) ?? 0,
    market,
    symbols: recording === undefined ? symbols : [],
    seed: whole('seed', 0, 2 ** 31 - 1) ?? 1,
    feeLevel: whole('fee-level', 1, FEE_LEVELS) ?? 1,
    balances: readBalances(text('balances') ?? '', problems),
    faults,
    playAtOnce: true,
    latency: {
      ...(submitMs === undefined ? {} : { submitMs }),
      ...(cancelMs === undefined ? {} : { cancelMs }),
    },
    ...(account === undefined ? {} : { accountPath: account, mode: 'paper' }),
    ...(key === undefined || secret === undefined ? {} : { credentials: { apiKey: key, apiSecret: secret } }),
    log: (level, event, fields) => io.err(`${level} ${event} ${JSON.stringify(fields)}\n`),
  };
};

/** The venue of the settings, BtcTurk unless told otherwise: its public market is followed, nothing is sent there. */
const mirroredMarket = (
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
  problems: string[],
): ExchangeMarket => {
  const loaded = loadForCli(values, io);
  if (!loaded.ok) {
    problems.push(...loaded.problems.map(renderProblem));
    return { type: 'generated' };
  }
  const { baseUrl, wsUrl } = loaded.settings.endpoints;
  return { type: 'mirror', baseUrl, wsUrl };
};

const readSpeed = (given: string, problems: string[]): number => {
  if (given === 'max') return Number.POSITIVE_INFINITY;
  const speed = Number(given);
  if (speed > 0 && Number.isFinite(speed)) return speed;
  problems.push(`--speed ${given}: a number above 0, or max, is needed`);
  return 1;
};

const readBalances = (given: string, problems: string[]): ReadonlyMap<string, bigint> => {
  const balances = new Map<string, bigint>();
  for (const part of given.split(',').filter(entry => entry.trim() !== '')) {
    const [asset = '', amount = ''] = part.trim().split('=');
    const value = tryParseDecimal(amount);
    if (!/^[A-Za-z]{2,10}$/.test(asset) || value === undefined || value < 0n || decimalsOf(value) > 16)
      problems.push(`--balances ${part.trim()}: ASSET=AMOUNT is needed, such as TRY=100000`);
    else balances.set(asset.toUpperCase(), value);
  }
  return balances;
};

const listFaults = (io: VerbIo, asJson: boolean): void => {
  const rows = Object.entries(FAULTS).map(([name, { kind, about, value }]) => ({ name, kind, about, value }));
  if (asJson) io.out(`${JSON.stringify(rows)}\n`);
  else
    for (const row of rows)
      io.out(`${(row.value === null ? row.name : `${row.name}=<${row.value}>`).padEnd(48)} ${row.about}\n`);
};

const announce = (
  io: VerbIo,
  exchange: {
    readonly url: string;
    readonly wsUrl: string;
    readonly apiKey: string;
    readonly apiSecret: string;
  },
  asJson: boolean,
): void => {
  const { url, wsUrl, apiKey, apiSecret } = exchange;
  if (asJson) {
    io.out(`${JSON.stringify({ baseUrl: url, graphUrl: url, wsUrl, apiKey, apiSecret })}\n`);
    return;
  }
  io.out(`A local BtcTurk is open.
  public REST   ${url}/api/v2
  private REST  ${url}/api/v1
  charts        ${url}/v1
  WebSocket     ${wsUrl}/
  admin         ${url}/admin/account, /admin/faults, /admin/deposit
  key           ${apiKey}
  secret        ${apiSecret}
`);
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
