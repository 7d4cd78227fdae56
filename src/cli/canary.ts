import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failureText } from '../btcturk/listed-instruments.js';
import { createRestClient } from '../btcturk/rest-client.js';
import { openReader } from '../ledger/reader.js';
import { buildId } from '../runtime/build-id.js';
import { CANARY_GIVE_UP_MS, canaryCaps, canarySettings } from '../runtime/canary-settings.js';
import { wallMs } from '../runtime/clock.js';
import { renderProblem } from '../runtime/config.js';
import { controlSocketPath } from '../runtime/control-protocol.js';
import { redactFacts, redactorOf } from '../runtime/secrets.js';
import type { ApiCredentials, Settings } from '../runtime/settings.js';
import { armingChecks } from './arming.js';
import { noPositionals, symbolOption, textOption } from './books.js';
import {
  type AccountPicture,
  type CanaryEvidence,
  canaryEvidence,
  evidenceText,
  sentSince,
} from './canary-evidence.js';
import { runCanaryBot } from './canary-run.js';
import { askBot, Unreachable } from './control-client.js';
import { cancelDirectly, instanceOf, ownOpenOrders } from './direct-cancel.js';
import { latchedHolds } from './latched.js';
import { writeNew } from './new-file.js';
import { CliRefused } from './refused.js';
import { loadForCli } from './settings.js';
import { json } from './table.js';
import type { Verb, VerbIo } from './verb.js';

/** For what the bot itself left behind. */
const SWEEP_WITHIN_MS = 15_000;

export const verb: Verb = {
  name: 'canary',
  usage: 'canary [--symbol S] [--no-fill] [--out FILE] [--config FILE] [--json]',
  about: `The first orders of real money. Starts the bot live under the given configuration with hard caps on top of its
limits: one order at a time, each a little more than the least the exchange takes, a few in all. One buy and one sell
rest and are canceled; then one buy fills and is sold again to the last lot (--no-fill leaves that out). It stops at the
first warning, cancels what rests, and asks the exchange itself what is left.

It needs everything live needs, and has less. The evidence (build, configuration, what was sent, what came back, a
verdict on each) goes to --out, else into a new file beside the ledger. JSON: the evidence, with its file.
Exit codes: 0 clean, 1 a warning or a verdict failed, 2 refused: nothing was sent.`,
  options: { symbol: { type: 'string' }, 'no-fill': { type: 'boolean' }, out: { type: 'string' } },
  async run({ values, positionals }, io) {
    noPositionals(positionals);
    const loaded = loadForCli(values, io);
    if (!loaded.ok) throw new CliRefused(loaded.problems.map(renderProblem).join('\n'));
    const { settings, credentials } = loaded;
    const symbol = symbolOption(values) ?? settings.symbols[0] ?? '';
    if (!settings.symbols.includes(symbol)) throw new CliRefused(`${symbol} is not in SYMBOLS`);
    const refused = (await armingChecks(loaded)).filter(({ verdict }) => verdict === 'refused');
    if (refused.length > 0 || credentials === null)
      throw new CliRefused(
        `not armed:\n${refused.map(({ name, detail }) => `  ${name}: ${detail}`).join('\n')}`,
      );
    await refuseBesideBot(settings);
    const file = textOption(values, 'out') ?? defaultFile(settings);
    if (existsSync(file)) throw new CliRefused(`${file} exists: name a new file`);
    const evidence = redactFacts(
      redactorOf(credentials),
      await hold(settings, credentials, symbol, values, io),
    ) as CanaryEvidence;
    writeNew(file, json(evidence));
    io.out(values.json === true ? json({ file, ...evidence }) : evidenceText(evidence, file));
    return evidence.passed ? 0 : 1;
  },
};

const defaultFile = (settings: Settings): string =>
  join(
    dirname(settings.stateDbPath),
    `canary-${new Date(wallMs()).toISOString().replaceAll(/[-:]|\.\d+/g, '')}.json`,
  );

/** A bot that runs on this data is the only one that may. */
const refuseBesideBot = async (settings: Settings): Promise<void> => {
  try {
    await askBot(controlSocketPath(settings.stateDbPath), { type: 'status' });
  } catch (error) {
    if (error instanceof Unreachable) return;
    throw error;
  }
  throw new CliRefused('a bot runs on this data: stop it first');
};

const hold = async (
  settings: Settings,
  credentials: ApiCredentials,
  symbol: string,
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
): Promise<CanaryEvidence> => {
  const before = await pictureOf(settings, credentials);
  if (before.ownOpenOrders.length > 0)
    throw new CliRefused(`own orders rest: ${before.ownOpenOrders.join(', ')}; btcbot cancel-all pulls them`);
  const startedAtMs = wallMs();
  const config = textOption(values, 'config');
  const noFill = values['no-fill'] === true;
  const run = await runCanaryBot({
    args: [
      '--canary',
      symbol,
      ...(noFill ? ['--no-fill'] : []),
      ...(config === undefined ? [] : ['--config', config]),
    ],
    env: io.env,
    signal: io.signal,
    giveUpMs: CANARY_GIVE_UP_MS,
    nowMs: wallMs,
  });
  const after = await pictureAfter(settings, credentials, values, io);
  const { sent, fills } = existsSync(settings.stateDbPath)
    ? booksSince(settings.stateDbPath, startedAtMs)
    : { sent: [], fills: [] };
  return canaryEvidence({
    build: buildId(),
    configHash: settings.configHash,
    symbol,
    startedAtMs,
    endedAtMs: wallMs(),
    caps: canaryCaps(settings),
    notionalMax: symbol.endsWith('TRY')
      ? canarySettings(settings, symbol, !noFill).risk.maxNotionalPerOrderTry
      : null,
    run,
    before,
    after,
    sent,
    fills,
  });
};

/** The account once the bot has ended. What it could not cancel is canceled here, unless something is latched. */
const pictureAfter = async (
  settings: Settings,
  credentials: ApiCredentials,
  values: Readonly<Record<string, unknown>>,
  io: VerbIo,
): Promise<AccountPicture | null> => {
  try {
    const picture = await pictureOf(settings, credentials);
    if (picture.ownOpenOrders.length === 0 || latchedHolds(settings.stateDbPath).length > 0) return picture;
    const signal = AbortSignal.timeout(SWEEP_WITHIN_MS);
    await cancelDirectly(values, { ...io, signal }, SWEEP_WITHIN_MS, 'no bot runs');
    return await pictureOf(settings, credentials);
  } catch (error) {
    io.err(`btcbot canary: ${(error as Error).message}\n`);
    return null;
  }
};

const booksSince = (path: string, fromMs: number): ReturnType<typeof sentSince> => {
  const books = openReader(path);
  try {
    return sentSince(books, fromMs);
  } finally {
    books.close();
  }
};

/** The account by signed reads of our own, beside the bot. @throws CliRefused when the venue cannot be read. */
const pictureOf = async (settings: Settings, credentials: ApiCredentials): Promise<AccountPicture> => {
  const client = createRestClient({ endpoints: settings.endpoints, credentials });
  try {
    // Signed requests carry the venue's time.
    await client.read({ type: 'server-time' });
    const result = await client.read({ type: 'balances' });
    if (!result.ok) throw new CliRefused(`the balances cannot be read: ${failureText(result.failure)}`);
    const own = existsSync(settings.stateDbPath)
      ? await ownOpenOrders(client, settings.symbols, instanceOf(settings.stateDbPath))
      : [];
    return {
      balances: result.value.balances,
      ownOpenOrders: own.map(order => order.clientOrderId ?? order.venueOrderId),
    };
  } finally {
    await client.close();
  }
};
