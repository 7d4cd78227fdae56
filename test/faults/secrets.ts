/**
 * Canary secrets through everything that goes wrong, at trace level: each fault of the exchange in turn, a gateway that
 * says back what it was sent, threads that die with the key in their last words. Afterwards they are looked for in all
 * that the bot has written and shown, in every form a value can take.
 */
import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { askBot } from '#src/cli/control-client.js';
import { FAULTS, parseFault } from '#src/exchange/faults.js';
import { controlSocketPath } from '#src/runtime/control-protocol.js';
import { LIVE_ACKNOWLEDGEMENT } from '#src/runtime/setting-table.js';
import {
  botFolder,
  databaseIn,
  type RunningBot,
  removeFolder,
  runVerb,
  startBot,
  tells,
} from '../support/bot.js';
import { freePort } from '../support/free-port.js';
import { CANARY_SECRET, liveSettings, openVenue } from '../support/live-venue.js';
import { shownOf } from '../support/process-facts.js';
import { formsOf } from '../support/secret-forms.js';
import { ECHOES, type Gateway, openGateway } from './gateway.js';
import { PATIENCE_MS } from './harness.js';
import { definePart, type PartResult } from './part.js';
import type { SeamCommand } from './seam.js';

const KEY = 'loopback-canary-key-9d04';
const BOT = fileURLToPath(new URL('./bot.js', import.meta.url));
/** Faults that would only make the next ones wait: they are left out of the short run. */
const QUICK = ['html-5xx', 'unauthorized', 'corrupt-frame', 'abrupt-drop'];

/** A refused login and a 429 to an order are waited out for a minute and more. */
const BACK_WITHIN_MS = 300_000;

interface Size {
  /** Faults of the exchange that are gone through; all when there are not so many. */
  readonly faults: number;
  /** How long each stays, ms. */
  readonly stayMs: number;
  [name: string]: number;
}

/** What is looked at, by where it was. */
type Places = [place: string, text: string][];

class Watch {
  readonly places: Places = [];
  private readonly bot: RunningBot;
  private readonly metricsUrl: string;
  private readonly settings: Record<string, string>;

  constructor(bot: RunningBot, metricsUrl: string, settings: Record<string, string>) {
    this.bot = bot;
    this.metricsUrl = metricsUrl;
    this.settings = settings;
  }

  /** What can be seen of the bot from outside now. */
  async look(): Promise<void> {
    const scraped = await fetch(this.metricsUrl).then(
      reply => reply.text(),
      () => '',
    );
    this.places.push(['/metrics', scraped]);
    this.places.push(...shownOf(this.bot.pid));
    const { stdout, stderr } = await runVerb(['status', '--json'], this.settings);
    this.places.push(['btcbot status', stdout + stderr]);
  }

  /** What it has left behind. */
  end(folder: string): void {
    this.places.push(
      ['the log', this.bot.events.map(line => JSON.stringify(line)).join('\n')],
      ['stderr', this.bot.stderr()],
    );
    for (const name of readdirSync(folder))
      if ((name.startsWith('btcbot.sqlite') && !name.endsWith('.sock')) || name.endsWith('.json'))
        this.places.push([name, readFileSync(join(folder, name), 'latin1')]);
  }
}

const found = (places: Places, gateway: Gateway): string[] => {
  const login = createHmac('sha256', Buffer.from(CANARY_SECRET, 'base64'))
    .update(`${KEY}15000`)
    .digest('base64');
  const signatures = [...gateway.signatures, login].flatMap(signature => [
    signature,
    encodeURIComponent(signature),
    signature.replaceAll('/', '\\/'),
  ]);
  const forms: [what: string, form: string][] = [
    ...formsOf(KEY).map((form): [string, string] => ['the key', form]),
    ...formsOf(CANARY_SECRET).map((form): [string, string] => ['the secret', form]),
    ...signatures.map((form): [string, string] => ['a signature', form]),
  ];
  return [
    ...new Set(
      places.flatMap(([place, text]) =>
        forms.filter(([, form]) => text.includes(form)).map(([what]) => `${place} holds ${what}`),
      ),
    ),
  ];
};

const run = async (size: Size): Promise<PartResult> => {
  const venue = await openVenue({ apiKey: KEY, apiSecret: CANARY_SECRET });
  const gateway = await openGateway(venue.url);
  const folder = botFolder();
  const port = await freePort();
  writeFileSync(join(folder, 'key'), KEY, { mode: 0o400 });
  writeFileSync(join(folder, 'secret'), CANARY_SECRET, { mode: 0o400 });
  const {
    BTCTURK_API_KEY: _key,
    BTCTURK_API_SECRET: _secret,
    ...live
  } = liveSettings(venue, databaseIn(folder));
  const settings = {
    ...live,
    BTCTURK_BASE_URL: gateway.url,
    BTCTURK_GRAPH_URL: gateway.url,
    BTCTURK_WS_URL: gateway.wsUrl,
    BTCTURK_API_KEY_FILE: join(folder, 'key'),
    BTCTURK_API_SECRET_FILE: join(folder, 'secret'),
    RECONCILE_INTERVAL_MS: '500',
    BTCTURK_REST_BASE_DELAY_MS: '50',
    BTCTURK_REST_MAX_DELAY_MS: '100',
    LOG_LEVEL: 'trace',
    OBSERVABILITY_ENABLED: 'true',
    OBSERVABILITY_METRICS_EXPORTER: 'prometheus',
    OBSERVABILITY_PROMETHEUS_PORT: String(port),
    FAULTS_SEAM: 'open',
  };
  const bot = startBot(settings, [], BOT, true);
  const watch = new Watch(bot, `http://127.0.0.1:${port}/metrics`, settings);
  const idle: string[] = [];
  /** Lets go of whatever the last trouble has latched, and waits until the bot trades: the next one must meet one that tries. */
  const trading = async (before: string): Promise<void> => {
    const path = controlSocketPath(databaseIn(folder));
    for (
      const deadline = performance.now() + BACK_WITHIN_MS;
      performance.now() < deadline;
      await pause(100)
    ) {
      const { status } = await askBot(path, { type: 'status' }, PATIENCE_MS);
      if (status?.maySubmit === true) return;
      for (const { key, releasedBy } of status?.holds ?? [])
        if (releasedBy === 'operator')
          await askBot(
            path,
            { type: 'safe-mode-off', acknowledgement: LIVE_ACKNOWLEDGEMENT, key },
            PATIENCE_MS,
          );
    }
    idle.push(`the bot did not trade when ${before} began`);
  };
  const die = (to: SeamCommand['to']): void => {
    bot.channel.send({
      to,
      act: 'reject',
      text: `signed with ${KEY} and ${CANARY_SECRET}`,
    } satisfies SeamCommand);
  };
  try {
    await bot.until(line => line.event === 'trading-state-changed' && line.to === 'live');
    await bot.until(tells('order-working'));
    const names = [...QUICK, ...Object.keys(FAULTS).filter(name => !QUICK.includes(name))].slice(
      0,
      size.faults,
    );
    for (const name of names) {
      await trading(name);
      venue.admin({ type: 'set-fault', fault: parseFault(name) });
      await pause(size.stayMs);
      venue.admin({ type: 'clear-faults' });
    }
    for (const echo of Object.keys(ECHOES)) {
      await trading(`the echo ${echo}`);
      gateway.echo = echo;
      await pause(size.stayMs);
      gateway.echo = null;
    }
    await watch.look();
    for (const actor of ['execution', 'reconciliation'] as const) {
      const from = bot.events.length;
      die(actor);
      await bot.until(line => line.event === 'worker-crashed' && bot.events.indexOf(line) >= from);
      await bot.until(
        line => line.event === 'worker-ready' && line.worker === actor && bot.events.indexOf(line) >= from,
      );
    }
    await watch.look();
    die('supervisor');
    const end = await bot.ended;
    watch.end(folder);
    const missing = [
      ...(gateway.echoed === 0 ? ['no request was answered with an echo'] : []),
      ...(gateway.signatures.size === 0 ? ['no signature was seen'] : []),
      ...(bot.events.some(({ level }) => level === 'trace') ? [] : ['nothing was logged at trace level']),
      ...(bot.stderr().includes('[redacted]') ? [] : ['the supervisor’s last words were not seen']),
      // A ledger that does not let go in time is cut off: the process ends itself.
      ...(end.code === 1 || end.signal === 'SIGKILL'
        ? []
        : [`a supervisor that failed ended with ${end.code ?? end.signal}`]),
      ...(JSON.stringify(bot.events).includes('[redacted]')
        ? []
        : ['nothing had to be taken out of the log']),
    ];
    const hits = found(watch.places, gateway);
    return {
      rows: [
        ['faults of the exchange gone through', '', String(names.length)],
        [
          'of them, and of the echoes, met by a bot that traded',
          'all',
          `${names.length + Object.keys(ECHOES).length - idle.length} of ${names.length + Object.keys(ECHOES).length}`,
        ],
        ['requests answered with what they held', '', String(gateway.echoed)],
        ['signatures looked for', '', String(gateway.signatures.size + 1)],
        ['bytes looked through', '', String(watch.places.reduce((sum, [, text]) => sum + text.length, 0))],
        ['key, secret or signature found', '0', String(hits.length)],
      ],
      contradictions: [...hits, ...missing],
      notes: idle,
    };
  } finally {
    bot.kill('SIGKILL');
    await bot.ended;
    gateway.close();
    await venue.close();
    removeFolder(folder);
  }
};

export const secrets = definePart<Size>({
  name: 'secrets',
  title: 'Secrets in what the bot writes and shows',
  about:
    'The bot trades live on an exchange on loopback, at trace level, through a gateway. Each fault of the exchange is set in turn; the gateway answers with pages and refusals that quote key and signature; execution and reconciliation die of rejections that carry key and secret, and at last the supervisor does. Log, stderr, metrics, status, database, the files beside it, `/proc/<pid>/cmdline` and `environ` are searched for the key, the secret and every signature sent: raw, base64, hex, URL-encoded, JSON-escaped.',
  full: { faults: 100, stayMs: 1_500 },
  small: { faults: 4, stayMs: 400 },
  run: size => run(size),
});
