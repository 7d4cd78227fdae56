/**
 * From the environment and a configuration file to the effective settings, or to every problem at once. Pure apart from
 * the readers that are handed in.
 */
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { distance } from 'fastest-levenshtein';
import { formatDecimal } from '../domain/money.js';
import { type LiveRequirement, requirement } from './live-requirements.js';
import { decideMode, FLAG_NAMES, type FlagReadings, readFlag } from './mode.js';
import { practiceLimits } from './practice-limits.js';
import { DOTENV_FILE, secretRefusals, wordsOfUnreadable } from './secrets.js';
import {
  isLoopbackHost,
  type ObjectSource,
  parseJsonList,
  parseJsonObject,
  type RawValue,
} from './setting-kinds.js';
import {
  CONFIG_FILE_VARIABLE,
  OUR_PREFIXES,
  SETTING_NAMES,
  SETTINGS,
  type SettingName,
  type SettingSpec,
  type SettingValues,
} from './setting-table.js';
import type {
  ApiCredentials,
  Endpoints,
  KeyPair,
  RiskSettings,
  Settings,
  StrategySetting,
} from './settings.js';
import { readPortfolio, readUniverse } from './strategy-settings.js';

/** One thing that is wrong: where, what, and what to do. */
export interface ConfigProblem {
  /** `environment`, or `<file>, key <KEY>`. */
  readonly where: string;
  /** The setting concerned; empty for a whole file. */
  readonly name: string;
  readonly problem: string;
  readonly remedy: string;
}

export interface ConfigInputs {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** From `--config`; wins over BTCBOT_CONFIG. */
  readonly configFile?: string | undefined;
  readonly cwd: string;
  /** Text of a file. @throws when it cannot be read. */
  readFile(path: string): string;
  readonly nowMs: number;
  /** Settings that count as not given, wherever they stand. */
  readonly leftOut?: readonly SettingName[];
  /**
   * Why the evidence of a healthy dry run does not cover this configuration (design: safety state); empty when it does.
   * Absent means that there is none.
   */
  evidenceRefusals?(wanted: {
    readonly configHash: string;
    readonly minMinutes: number;
    readonly stateDbPath: string;
  }): readonly string[];
}

export type LoadedConfig =
  | {
      readonly ok: true;
      readonly settings: Settings;
      readonly credentials: ApiCredentials | null;
      /** Every condition of live trading that can be judged from here, met or not. */
      readonly requirements: readonly LiveRequirement[];
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

interface Found {
  readonly raw: RawValue;
  readonly where: string;
  readonly fromFile: string | null;
}

const DEFAULT_READINESS_MINUTES = 30;
const VENUE_RATE_CAP = 8;
/** What may come from the dotenv file: the account's own names, so that a file lying about arms nothing. */
const DOTENV_NAMES: readonly SettingName[] = [
  'BTCTURK_API_KEY',
  'BTCTURK_API_SECRET',
  'BTCTURK_API_KEY_FILE',
  'BTCTURK_API_SECRET_FILE',
  'BTCTURK_WS_API_KEY',
  'BTCTURK_WS_API_SECRET',
  'BTCTURK_WS_API_KEY_FILE',
  'BTCTURK_WS_API_SECRET_FILE',
  'BTCTURK_API_SCOPES',
  'BTCTURK_SECRET_ROTATED_AT',
  'BTCTURK_SECRET_MAX_AGE_DAYS',
];

const isSettingName = (name: string): name is SettingName => Object.hasOwn(SETTINGS, name);
const specOf = (name: SettingName): SettingSpec => SETTINGS[name];

/** The setting a mistyped name most likely means. */
const nearestName = (name: string, atMost: number): SettingName | undefined => {
  let best: SettingName | undefined;
  let bestDistance = atMost + 1;
  const upper = name.toUpperCase().replaceAll('-', '_');
  for (const candidate of SETTING_NAMES) {
    const apart = distance(upper, candidate);
    if (apart < bestDistance) {
      best = candidate;
      bestDistance = apart;
    }
  }
  return best;
};

const unknownName = (name: string, where: string): ConfigProblem => {
  const nearest = nearestName(name, Math.max(2, Math.floor(name.length / 3)));
  return {
    where,
    name,
    problem: 'is not a setting',
    remedy: nearest === undefined ? 'remove it' : `write ${nearest}, or remove it`,
  };
};

/** True for a name of the environment that is meant for us but is none of our settings. */
const isMistyped = (name: string): boolean => {
  if (isSettingName(name) || name === CONFIG_FILE_VARIABLE) return false;
  if (OUR_PREFIXES.some(prefix => name.toUpperCase().startsWith(prefix))) return true;
  return name.length >= 5 && nearestName(name, 1) !== undefined;
};

const shorten = (raw: RawValue): string => {
  const text = typeof raw === 'string' ? JSON.stringify(raw) : (JSON.stringify(raw) ?? String(raw));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** Collects what was found for every name, the environment winning over the file. */
const gather = (inputs: ConfigInputs, problems: ConfigProblem[]): Map<SettingName, Found> => {
  const found = new Map<SettingName, Found>();
  const named = inputs.configFile ?? inputs.env[CONFIG_FILE_VARIABLE];
  if (named !== undefined && named !== '') {
    const path = resolve(inputs.cwd, named);
    for (const [name, raw] of Object.entries(readConfigFile(inputs, named, path, problems))) {
      const where = `${named}, key ${name}`;
      if (!isSettingName(name)) problems.push(unknownName(name, where));
      else if (specOf(name).role === 'secret')
        problems.push({
          where,
          name,
          problem: 'is a secret, which does not belong in a configuration file',
          remedy: `give ${name} in the environment, or ${name}_FILE with the path of a mounted file`,
        });
      else found.set(name, { raw: raw as RawValue, where, fromFile: path });
    }
  }
  for (const [name, text] of Object.entries(inputs.env)) {
    if (text === undefined) continue;
    if (isSettingName(name)) found.set(name, { raw: text, where: 'environment', fromFile: null });
    else if (isMistyped(name)) problems.push(unknownName(name, 'environment'));
  }
  for (const name of inputs.leftOut ?? []) found.delete(name);
  return found;
};

const readConfigFile = (
  inputs: ConfigInputs,
  named: string,
  path: string,
  problems: ConfigProblem[],
): Readonly<Record<string, unknown>> => {
  let text: string;
  try {
    text = inputs.readFile(path);
  } catch (error) {
    problems.push({
      where: named,
      name: '',
      problem: `cannot be read: ${(error as Error).message}`,
      remedy: `give --config or ${CONFIG_FILE_VARIABLE} the path of a readable JSON file`,
    });
    return {};
  }
  const object = parseJsonObject(text);
  if (object !== undefined) return object;
  problems.push({
    where: named,
    name: '',
    problem: 'is not a JSON object',
    remedy: 'write settings as {"NAME": value, …}',
  });
  return {};
};

/**
 * Adds the account's names from the dotenv file, where neither the environment nor the configuration file has them.
 * @returns why a file that is there gives nothing; null for one that was read, and for none
 */
const gatherDotenv = (inputs: ConfigInputs, found: Map<SettingName, Found>): string | null => {
  let text: string;
  try {
    text = inputs.readFile(resolve(inputs.cwd, DOTENV_FILE));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // The file is optional; one that this user may not read was meant to be.
    return code === undefined || code === 'ENOENT' ? null : `${DOTENV_FILE} cannot be read: ${message}`;
  }
  const values = parseEnv(text);
  for (const name of DOTENV_NAMES) {
    const value = values[name];
    if (value !== undefined && value !== '' && !isGiven(found, name))
      found.set(name, { raw: value, where: DOTENV_FILE, fromFile: null });
  }
  return null;
};

/** Empty text counts as unset where a setting may be unset: compose files hand on `${NAME:-}` as empty text. */
const isGiven = (found: ReadonlyMap<SettingName, Found>, name: SettingName): boolean => {
  const entry = found.get(name);
  return entry !== undefined && !(entry.raw === '' && specOf(name).fallback === null);
};

/** Whether the operator gives a setting, whatever it says. */
export const givesSetting = (inputs: ConfigInputs, name: SettingName): boolean =>
  isGiven(gather(inputs, []), name);

const parseAll = (found: ReadonlyMap<SettingName, Found>, problems: ConfigProblem[]): SettingValues => {
  const values: Record<string, unknown> = {};
  for (const name of SETTING_NAMES) {
    const spec = specOf(name);
    const fallback = spec.fallback === null ? null : spec.kind.parse(spec.fallback);
    values[name] = fallback?.ok === true ? fallback.value : null;
    const entry = found.get(name);
    if (spec.role === 'mode' || entry === undefined || !isGiven(found, name)) continue;
    const parsed = spec.kind.parse(entry.raw);
    if (parsed.ok) values[name] = parsed.value;
    else
      problems.push({
        where: entry.where,
        name,
        problem: `${
          spec.role === 'secret' || spec.kind.confidential === true ? 'its value' : shorten(entry.raw)
        } is not ${parsed.expected}`,
        remedy: parsed.hint === undefined ? `write ${parsed.expected}` : `write ${name}=${parsed.hint}`,
      });
  }
  return values as unknown as SettingValues;
};

type KeyName = 'BTCTURK_API_KEY' | 'BTCTURK_WS_API_KEY';
type SecretName = 'BTCTURK_API_SECRET' | 'BTCTURK_WS_API_SECRET';

/** What signs requests, and what logs in to the private feed where that is another pair; null when neither is given. */
const readCredentials = (
  inputs: ConfigInputs,
  found: ReadonlyMap<SettingName, Found>,
  values: SettingValues,
  problems: ConfigProblem[],
): ApiCredentials | null => {
  const before = problems.length;
  const pair = readPair(inputs, found, values, problems, 'BTCTURK_API_KEY', 'BTCTURK_API_SECRET');
  const socket = readPair(inputs, found, values, problems, 'BTCTURK_WS_API_KEY', 'BTCTURK_WS_API_SECRET');
  if (problems.length > before || socket === null) return pair;
  if (pair !== null) return { ...pair, socket };
  problems.push({
    where: 'environment',
    name: 'BTCTURK_API_KEY',
    problem: 'is missing although the key of the private feed is given',
    remedy: 'give BTCTURK_API_KEY and BTCTURK_API_SECRET too, or remove the others',
  });
  return null;
};

/** The key and the secret, each from its value or its file; null when neither is given. */
const readPair = (
  inputs: ConfigInputs,
  found: ReadonlyMap<SettingName, Found>,
  values: SettingValues,
  problems: ConfigProblem[],
  keyName: KeyName,
  secretName: SecretName,
): KeyPair | null => {
  const read = (name: KeyName | SecretName): string | null => {
    const fileName = `${name}_FILE` as const;
    const path = values[fileName];
    if (path === null) return values[name];
    const where = found.get(fileName)?.where ?? 'environment';
    if (values[name] !== null) {
      problems.push({
        where,
        name: fileName,
        problem: `is given together with ${name}`,
        remedy: 'give one of the two',
      });
      return null;
    }
    try {
      const text = inputs.readFile(resolve(inputs.cwd, path)).trim();
      if (text !== '' && !/\p{Cc}/u.test(text)) return text;
      problems.push({
        where,
        name: fileName,
        problem: 'names a file without a single line of text',
        remedy: 'check the file',
      });
    } catch (error) {
      problems.push({
        where,
        name: fileName,
        problem: `cannot be read: ${wordsOfUnreadable(error)}`,
        remedy: 'give the path of a file this user may read',
      });
    }
    return null;
  };
  const before = problems.length;
  const apiKey = read(keyName);
  const apiSecret = read(secretName);
  if (problems.length > before) return null;
  if ((apiKey === null) !== (apiSecret === null)) {
    const missing = apiKey === null ? keyName : secretName;
    problems.push({
      where: 'environment',
      name: missing,
      problem: 'is missing although the other half of the credentials is given',
      remedy: `give ${missing} too, or remove the other`,
    });
    return null;
  }
  if (apiKey === null || apiSecret === null) return null;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(apiSecret) || Buffer.from(apiSecret, 'base64').length === 0) {
    problems.push({
      where: found.get(secretName)?.where ?? 'environment',
      name: secretName,
      problem: 'its value is not base64',
      remedy: 'copy the private key exactly as the venue shows it',
    });
    return null;
  }
  return { apiKey, apiSecret };
};

/** What a setting that is given as JSON or as a path holds; null when it is unset or, with a problem, unreadable. */
const readJson = <T>(
  inputs: ConfigInputs,
  found: ReadonlyMap<SettingName, Found>,
  problems: ConfigProblem[],
  name: SettingName,
  source: { readonly value: T } | { readonly path: string } | null,
  parse: (text: string) => T | undefined,
  kind: string,
): T | null => {
  if (source === null) return null;
  if ('value' in source) return source.value;
  const entry = found.get(name);
  const base = entry?.fromFile == null ? inputs.cwd : dirname(entry.fromFile);
  const problem = (words: string): null => {
    problems.push({
      where: entry?.where ?? 'environment',
      name,
      problem: `${JSON.stringify(source.path)} ${words}`,
      remedy: `write a JSON ${kind}, or the path of a file that holds one`,
    });
    return null;
  };
  try {
    return parse(inputs.readFile(resolve(base, source.path))) ?? problem(`does not hold a JSON ${kind}`);
  } catch (error) {
    return problem(`cannot be read: ${(error as Error).message}`);
  }
};

const objectSource = (source: ObjectSource | null) =>
  source?.from === 'text' ? { value: source.object } : source;

/** Everything that says which strategies run, and on what. */
const readStrategies = (
  inputs: ConfigInputs,
  found: ReadonlyMap<SettingName, Found>,
  values: SettingValues,
  problems: ConfigProblem[],
): { readonly config: Readonly<Record<string, unknown>>; readonly all: readonly StrategySetting[] } => {
  const read = <T>(
    name: SettingName,
    source: { readonly value: T } | { readonly path: string } | null,
    parse: (text: string) => T | undefined,
    kind: string,
  ): T | null => readJson(inputs, found, problems, name, source, parse, kind);
  const add = (name: SettingName, words: readonly string[]): void => {
    for (const problem of words)
      problems.push({
        where: found.get(name)?.where ?? 'environment',
        name,
        problem,
        remedy: `mend ${name}; docs/strategies/README.md has its form`,
      });
  };
  const config =
    read('STRATEGY_CONFIG', objectSource(values.STRATEGY_CONFIG), parseJsonObject, 'object') ?? {};
  const given = read('UNIVERSE', objectSource(values.UNIVERSE), parseJsonObject, 'object');
  const rules = given === null ? null : readUniverse(given);
  if (rules !== null) add('UNIVERSE', rules.problems);
  const universe = rules?.rules ?? null;
  const symbols = values.SYMBOLS ?? [];
  const { STRATEGIES } = values;
  const list = read(
    'STRATEGIES',
    STRATEGIES?.from === 'text' ? { value: STRATEGIES.list } : STRATEGIES,
    parseJsonList,
    'list',
  );
  if (list === null)
    return { config, all: [{ name: null, strategy: values.STRATEGY ?? '', symbols, config, universe }] };
  const both = (['STRATEGY', 'STRATEGY_CONFIG'] as const).filter(name => isGiven(found, name));
  add(
    'STRATEGIES',
    both.map(name => `is given together with ${name}`),
  );
  const portfolio = readPortfolio(list, symbols, universe);
  add('STRATEGIES', portfolio.problems);
  return { config, all: portfolio.strategies };
};

/** Relations between settings, and bounds that depend on where the venue is. */
const checkRelations = (
  found: ReadonlyMap<SettingName, Found>,
  values: SettingValues,
  problems: ConfigProblem[],
): void => {
  const add = (name: SettingName, problem: string, remedy: string): void => {
    problems.push({ where: found.get(name)?.where ?? 'default', name, problem, remedy });
  };
  const atMost = (low: SettingName, high: SettingName): void => {
    const lower = values[low] as number | bigint | null;
    const upper = values[high] as number | bigint | null;
    if (lower !== null && upper !== null && lower > upper)
      add(low, `is greater than ${high}`, `lower ${low} or raise ${high}`);
  };
  atMost('BTCTURK_REST_BASE_DELAY_MS', 'BTCTURK_REST_MAX_DELAY_MS');
  atMost('RECONCILE_INTERVAL_MS', 'RECONCILE_MAX_LAG_MS');
  atMost('MAX_OPEN_ORDERS_PER_SYMBOL', 'MAX_OPEN_ORDERS');
  atMost('MAX_NOTIONAL_PER_ORDER_TRY', 'MAX_POSITION_NOTIONAL_TRY');
  atMost('MAX_POSITION_NOTIONAL_TRY', 'MAX_GROSS_EXPOSURE_TRY');

  const addresses = [values.BTCTURK_BASE_URL, values.BTCTURK_GRAPH_URL, values.BTCTURK_WS_URL];
  const onLoopback =
    values.VENUE === 'paper' ||
    addresses.every(address => address !== null && isLoopbackHost(new URL(address).hostname));
  if (!onLoopback) {
    if ((values.LIVE_READINESS_MIN_MINUTES ?? 0) < DEFAULT_READINESS_MINUTES)
      add(
        'LIVE_READINESS_MIN_MINUTES',
        `may be below ${DEFAULT_READINESS_MINUTES} only when the venue is on loopback`,
        `write ${DEFAULT_READINESS_MINUTES} or more`,
      );
    for (const name of ['BTCTURK_RATE_LIMIT_RPS', 'BTCTURK_RATE_LIMIT_BURST'] as const)
      if ((values[name] ?? 0) > VENUE_RATE_CAP)
        add(
          name,
          `may be above ${VENUE_RATE_CAP} only when the venue is on loopback: the venue allows 10 a second`,
          `write ${VENUE_RATE_CAP} or less`,
        );
  }
  // Otherwise somebody who left VENUE out would trade on the market of today.
  if (values.PAPER_RECORDING !== null && values.VENUE === 'btcturk')
    add(
      'PAPER_RECORDING',
      'is given, but VENUE is btcturk, where no recording is played',
      'write VENUE=paper, or leave PAPER_RECORDING out',
    );
  if (
    values.OBSERVABILITY_ENABLED === true &&
    values.OBSERVABILITY_METRICS_EXPORTER === 'otlp' &&
    values.OBSERVABILITY_OTLP_ENDPOINT === null
  )
    add(
      'OBSERVABILITY_OTLP_ENDPOINT',
      'is not set although OBSERVABILITY_METRICS_EXPORTER is otlp',
      'write the address of the collector, such as http://127.0.0.1:4318/v1/metrics',
    );
  if ((values.ALERT_TELEGRAM_CHAT_ID === null) !== (values.ALERT_TELEGRAM_TOKEN_FILE === null))
    add(
      values.ALERT_TELEGRAM_CHAT_ID === null ? 'ALERT_TELEGRAM_TOKEN_FILE' : 'ALERT_TELEGRAM_CHAT_ID',
      'is given without the other',
      'give ALERT_TELEGRAM_CHAT_ID and ALERT_TELEGRAM_TOKEN_FILE together',
    );
};

/** Text of a value in which equal configurations are equal: keys sorted, amounts as decimal text. */
export const canonicalJson = (value: unknown): string => {
  if (typeof value === 'bigint') return JSON.stringify(formatDecimal(value));
  if (value === Number.POSITIVE_INFINITY) return '"max"';
  if (value instanceof Map) return canonicalJson(Object.fromEntries(value));
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
      .map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`)
      .join(',')}}`;
  return JSON.stringify(value) ?? 'null';
};

/** Settings whose content is what counts. */
const HASHED_AS_READ: Readonly<Partial<Record<SettingName, true>>> = {
  STRATEGY_CONFIG: true,
  STRATEGIES: true,
  UNIVERSE: true,
};

/**
 * What the bot does, without secrets, without the mode flags and without places: the same in dry run and live, so that
 * evidence gathered in one covers the other.
 */
const hashOf = (
  values: SettingValues,
  strategies: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly all: readonly StrategySetting[];
  },
  risk: RiskSettings,
): string => {
  const effective: Record<string, unknown> = { risk, STRATEGY_CONFIG: strategies.config };
  for (const name of SETTING_NAMES) {
    if (specOf(name).role === undefined && !(name in HASHED_AS_READ)) effective[name] = values[name];
  }
  // What a path leads to, not the path. One strategy without a universe hashes as it did before there were several.
  if (values.STRATEGIES !== null || values.UNIVERSE !== null) effective.STRATEGIES = strategies.all;
  return createHash('sha256').update(canonicalJson(effective)).digest('hex');
};

const LIMIT_NAMES = SETTING_NAMES.filter(
  (name): name is keyof typeof practiceLimits => specOf(name).role === 'limit',
);

const riskOf = (values: SettingValues, practice: boolean): RiskSettings => {
  const limit = <N extends keyof typeof practiceLimits>(name: N): (typeof practiceLimits)[N] | null =>
    (values[name] as (typeof practiceLimits)[N] | null) ?? (practice ? practiceLimits[name] : null);
  return {
    maxOpenOrders: values.MAX_OPEN_ORDERS!,
    maxOpenOrdersPerSymbol: values.MAX_OPEN_ORDERS_PER_SYMBOL!,
    maxNotionalPerOrderTry: limit('MAX_NOTIONAL_PER_ORDER_TRY'),
    maxPositionNotionalTry: limit('MAX_POSITION_NOTIONAL_TRY'),
    maxGrossExposureTry: limit('MAX_GROSS_EXPOSURE_TRY'),
    maxDailyLossTry: limit('MAX_DAILY_LOSS_TRY'),
    maxDrawdownPct: limit('MAX_DRAWDOWN_PCT'),
    priceCollarBps: limit('PRICE_COLLAR_BPS'),
    priceDriftBps: values.PRICE_DRIFT_BPS!,
    maxOrdersPerMinute: limit('MAX_ORDERS_PER_MINUTE'),
    maxRepeatedExecutions: limit('MAX_REPEATED_EXECUTIONS'),
  };
};

/** Reads, defaults, checks and relates every setting. All problems are reported at once. */
export const loadSettings = (inputs: ConfigInputs): LoadedConfig => {
  const problems: ConfigProblem[] = [];
  const found = gather(inputs, problems);
  const venueIsPaper = found.get('VENUE')?.raw === 'paper';
  const dotenvProblem = venueIsPaper ? null : gatherDotenv(inputs, found);
  const values = parseAll(found, problems);
  const credentials = readCredentials(inputs, found, values, problems);
  const strategies = readStrategies(inputs, found, values, problems);
  checkRelations(found, values, problems);
  if (problems.length > 0) return { ok: false, problems };

  const venue = values.VENUE!;
  const secrets = {
    scopes: values.BTCTURK_API_SCOPES ?? [],
    rotatedAt: values.BTCTURK_SECRET_ROTATED_AT,
    maxAgeDays: values.BTCTURK_SECRET_MAX_AGE_DAYS!,
  };
  const readings = Object.fromEntries(
    FLAG_NAMES.map(name => {
      const entry = found.get(name);
      return [name, readFlag(name, entry?.raw, entry?.where ?? '')];
    }),
  ) as unknown as FlagReadings;
  const liveReadinessMinMinutes = values.LIVE_READINESS_MIN_MINUTES!;
  const stateDbPath = resolve(inputs.cwd, values.STATE_DB_PATH!);
  // Live runs on the limits as given, the other modes on the practice limits where one is unset.
  const asked = decideMode(venue, readings, []);
  const risk = riskOf(values, asked.mode !== 'live');
  const configHash = hashOf(values, strategies, risk);
  const evidence = inputs.evidenceRefusals?.({
    configHash: hashOf(values, strategies, riskOf(values, false)),
    minMinutes: liveReadinessMinMinutes,
    stateDbPath,
  }) ?? ['no evidence of a healthy dry run is recorded'];
  const demands: readonly LiveRequirement[] = [
    ...LIMIT_NAMES.map(name =>
      requirement(
        name,
        values[name] === null ? [`${name} is not set`] : [],
        canonicalJson(values[name]).replaceAll('"', ''),
      ),
    ),
    requirement(
      'API key',
      [
        ...(credentials === null && dotenvProblem !== null ? [dotenvProblem] : []),
        ...secretRefusals(credentials, secrets, inputs.nowMs),
      ],
      'has the right scopes and age',
    ),
    requirement(
      'healthy dry run',
      evidence,
      `at least ${liveReadinessMinMinutes} minutes, recent, of this build and configuration`,
    ),
  ];
  const unmet = demands.filter(({ met }) => !met).flatMap(({ detail }) => detail.split('; '));
  const decision = asked.mode === 'live' ? decideMode(venue, readings, unmet) : asked;
  const endpoints: Endpoints = {
    baseUrl: values.BTCTURK_BASE_URL!,
    graphUrl: values.BTCTURK_GRAPH_URL!,
    wsUrl: values.BTCTURK_WS_URL!,
  };
  const settings: Settings = {
    flags: decision.flags,
    mode: decision.mode,
    modeReasons: decision.reasons,
    venue,
    paper: {
      recording: values.PAPER_RECORDING === null ? null : resolve(inputs.cwd, values.PAPER_RECORDING),
      speed: values.PAPER_SPEED!,
      seed: values.PAPER_SEED!,
      balances: values.PAPER_BALANCES!,
    },
    paperTwin: values.PAPER_TWIN!,
    symbols: values.SYMBOLS!,
    strategy: strategies.all.map(({ name, strategy }) => name ?? strategy).join(','),
    strategyConfig: strategies.config,
    strategies: strategies.all,
    endpoints,
    rest: {
      rateLimitRps: values.BTCTURK_RATE_LIMIT_RPS!,
      rateLimitBurst: values.BTCTURK_RATE_LIMIT_BURST!,
      baseDelayMs: values.BTCTURK_REST_BASE_DELAY_MS!,
      maxDelayMs: values.BTCTURK_REST_MAX_DELAY_MS!,
      maxRetries: values.BTCTURK_REST_MAX_RETRIES!,
    },
    wsIdleReconnectMs: values.BTCTURK_WS_IDLE_RECONNECT_MS!,
    maxMarketDataAgeMs: values.MAX_MARKET_DATA_AGE_MS!,
    reconcileIntervalMs: values.RECONCILE_INTERVAL_MS!,
    reconcileMaxLagMs: values.RECONCILE_MAX_LAG_MS!,
    risk,
    shutdownOpenOrders: values.SHUTDOWN_OPEN_ORDERS!,
    stateDbPath,
    liveReadinessMinMinutes,
    observability: {
      enabled: values.OBSERVABILITY_ENABLED!,
      exporter: values.OBSERVABILITY_METRICS_EXPORTER!,
      otlpEndpoint: values.OBSERVABILITY_OTLP_ENDPOINT,
      prometheusPort: values.OBSERVABILITY_PROMETHEUS_PORT!,
      prometheusHost: values.OBSERVABILITY_PROMETHEUS_HOST!,
    },
    alerts: {
      webhookUrl: values.ALERT_WEBHOOK_URL,
      telegram:
        values.ALERT_TELEGRAM_CHAT_ID === null || values.ALERT_TELEGRAM_TOKEN_FILE === null
          ? null
          : {
              chatId: values.ALERT_TELEGRAM_CHAT_ID,
              tokenFile: resolve(inputs.cwd, values.ALERT_TELEGRAM_TOKEN_FILE),
              url: values.ALERT_TELEGRAM_URL!,
            },
    },
    secrets,
    logLevel: values.LOG_LEVEL!,
    configHash,
  };
  return {
    ok: true,
    settings,
    credentials: venue === 'paper' ? null : credentials,
    requirements: [...decision.flagRequirements, ...demands],
  };
};

/** One line per problem, for people. */
export const renderProblem = (problem: ConfigProblem): string =>
  `${problem.where}: ${problem.name === '' ? '' : `${problem.name} `}${problem.problem}; ${problem.remedy}`;
