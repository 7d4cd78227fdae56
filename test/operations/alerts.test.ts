import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { HOLD_CAUSES } from '#src/domain/safety.js';
import type { LogLine } from '#src/messages/telemetry.js';
import {
  type AlertDelivery,
  channelsOf,
  delayAfterHanging,
  openDelivery,
} from '#src/runtime/alert-delivery.js';
import { ALERTS, type Alert, alertsOf, newAlertMemory } from '#src/runtime/alerts.js';
import { botFolder, removeFolder } from '../support/bot.js';

const line = (event: string, fields: Readonly<Record<string, unknown>> = {}): LogLine => ({
  type: 'log',
  actor: 'supervisor',
  atMs: 1_700_000_000_000,
  level: 'info',
  event,
  fields,
});
const kindsOf = (...lines: readonly LogLine[]): readonly string[] => {
  const memory = newAlertMemory();
  return lines.flatMap(each => alertsOf(memory, each)).map(({ kind }) => kind);
};

describe('alerts', () => {
  const rows: readonly [title: string, lines: readonly LogLine[], kinds: readonly string[]][] = [
    ['a start', [line('banner', { mode: 'live', state: 'observe-only', reasons: [] })], ['started']],
    ['a stop', [line('stopping', { reason: 'SIGTERM', exitCode: 0 })], ['stopping']],
    [
      'arming and disarming, once each',
      [
        line('trading-state-changed', { to: 'live', maySubmit: true }),
        line('trading-state-changed', { to: 'live', maySubmit: true }),
        line('trading-state-changed', { to: 'cancel-only', maySubmit: false, reasons: ['hold x: y'] }),
      ],
      ['armed', 'disarmed'],
    ],
    [
      'an ordered safe mode, and what came of it',
      [
        line('run-figures', { openOrders: 2 }),
        line('hold-placed', { key: 'operator', cause: 'operator', detail: 'SIGUSR2' }),
        line('trading-state-changed', { to: 'observe-only', maySubmit: false }),
      ],
      ['hold-placed', 'kill-result'],
    ],
    [
      'a safe mode that was ordered while nothing was written anyway',
      [
        line('banner', { mode: 'live', state: 'observe-only', reasons: [] }),
        line('hold-placed', { key: 'operator', cause: 'operator', detail: 'SIGUSR2' }),
        line('trading-state-changed', { to: 'cancel-only', maySubmit: false }),
        line('trading-state-changed', { to: 'observe-only', maySubmit: false }),
        line('hold-placed', { key: 'operator', cause: 'operator', detail: 'SIGUSR2' }),
        line('trading-state-changed', { to: 'live', maySubmit: true }),
      ],
      ['started', 'hold-placed', 'kill-result', 'hold-placed', 'kill-result', 'armed'],
    ],
    [
      'a hold of an earlier run and its release',
      [line('hold-restored', { key: 'auth' }), line('hold-released', { key: 'auth', cause: 'auth' })],
      ['hold-placed', 'hold-released'],
    ],
    ['a cancel-all', [line('cancel-all-ordered', { reason: 'x' })], ['cancel-all']],
    [
      'a rotated key and a refused one',
      [
        line('key-rotated', { provenBy: 'reconciliation, execution' }),
        line('key-rotation-refused', { reason: 'Unauthorized' }),
      ],
      ['key-rotation', 'key-rotation'],
    ],
    ['an unknown order', [line('order-unknown', { clientOrderId: 'bb-1' })], ['unknown-order']],
    [
      'foreign orders and fills',
      [line('foreign-order-seen', { venueOrderId: '1' }), line('foreign-fill', { tradeId: '1' })],
      ['foreign-order', 'foreign-order'],
    ],
    [
      'maintenance of the exchange, once for its beginning and once for its end',
      [
        line('venue-closed', { what: 'BTCTRY', words: 'ORDER_INSERT_BLOCKED', againInS: 120 }),
        line('venue-still-closed', { what: 'BTCTRY', words: 'ORDER_INSERT_BLOCKED', againInS: 120 }),
        line('venue-open', { what: 'BTCTRY', closedForS: 3_600 }),
      ],
      ['venue-closed', 'venue-closed'],
    ],
    ['a residual', [line('discrepancy', { discrepancy: 'BTC: 1' })], ['residual']],
    [
      'a worker that crashed and is back',
      [
        line('worker-crashed', { worker: 'strategy', code: 1 }),
        line('worker-ready', { worker: 'strategy', incarnation: 2 }),
      ],
      ['worker-restarted', 'worker-restarted'],
    ],
    ['a worker that stays down', [line('worker-given-up', { worker: 'strategy' })], ['worker-given-up']],
    [
      'orders that a stop should have canceled',
      [line('resting-orders-left', { orders: 1, first: ['bb-1'], why: 'late', remedy: 'cancel them' })],
      ['orders-left'],
    ],
    [
      'a strategy that was stopped',
      [line('strategy-stopped', { strategy: 'maker', reason: '10 faults' })],
      ['strategy-stopped'],
    ],
    [
      'a bot that no command reaches',
      [line('control-socket-failed', { reason: 'EADDRINUSE' })],
      ['control-socket-failed'],
    ],
    ['a supervisor that stands still', [line('lease-lost'), line('lease-back')], ['lease-lost']],
    ['a commit that failed', [line('ledger-commit-failed', { reason: 'full' })], ['ledger-trouble']],
    [
      'nothing of the everyday',
      [
        line('worker-ready', { worker: 'strategy', incarnation: 1 }),
        line('fill-booked'),
        line('hold-placed', { key: 'starting', cause: 'starting' }),
        line('hold-released', { key: 'starting', cause: 'starting' }),
      ],
      [],
    ],
  ];
  for (const [title, lines, kinds] of rows)
    it(`tell of ${title}`, () => {
      expect(kindsOf(...lines)).to.deep.equal(kinds);
    });

  it('are of every kind that the runbook lists, in the rows above', () => {
    const told = new Set(rows.flatMap(([, , kinds]) => kinds));
    expect(Object.keys(ALERTS).filter(kind => !told.has(kind) && kind !== 'breaker-opened')).to.deep.equal(
      [],
    );
  });

  it('say of every cause what the bot does about it and who ends it', () => {
    for (const cause of HOLD_CAUSES) {
      if (cause === 'starting' || cause === 'operator') continue;
      const [alert] = alertsOf(
        newAlertMemory(),
        line('hold-placed', { key: cause, cause, detail: 'the facts' }),
      );
      expect(alert?.kind).to.equal('breaker-opened');
      expect(alert?.text).to.match(
        /the facts\. The bot: .+\. Ends by: (operator|evidence|probe|supervisor)$/,
      );
    }
  });

  it('tell of the next change of a bot that was running when telemetry was restarted, in its mode', () => {
    for (const [may, words] of [
      [false, 'live: no new orders any more'],
      [true, 'live: new orders may be sent'],
    ] as const) {
      const memory = newAlertMemory('live');
      const changed = line('trading-state-changed', { to: 'x', maySubmit: may, reasons: [] });
      expect(alertsOf(memory, changed)[0]?.text).to.contain(words);
      expect(alertsOf(memory, changed)).to.deep.equal([]);
    }
  });

  it('tell of a difference that stands every ten minutes, of another at once, and of it anew after its release', () => {
    const memory = newAlertMemory();
    const differs = (text: string, atMs: number): number =>
      alertsOf(memory, { ...line('discrepancy', { discrepancy: text }), atMs }).length;
    const MINUTE = 60_000;
    expect([0, 1, 9, 10, 11].map(minute => differs('BTC: 1', minute * MINUTE))).to.deep.equal([
      1, 0, 0, 1, 0,
    ]);
    expect(differs('BTC: 2', 11 * MINUTE)).to.equal(1);
    alertsOf(memory, line('hold-released', { key: 'auth:reads', cause: 'auth' }));
    expect(differs('BTC: 1', 12 * MINUTE)).to.equal(0);
    alertsOf(memory, line('hold-released', { key: 'invariant:account', cause: 'invariant' }));
    expect(differs('BTC: 1', 12 * MINUTE)).to.equal(1);
    for (let count = 0; count < 1_000; count++) differs(`ETH: ${count}`, 12 * MINUTE);
    expect(memory.residualsToldAtMs.size).to.be.at.most(100);
  });

  it('count what still rests when writes stop', () => {
    const memory = newAlertMemory();
    alertsOf(memory, line('run-figures', { openOrders: 3 }));
    alertsOf(memory, line('hold-placed', { key: 'operator', cause: 'operator' }));
    const [alert] = alertsOf(memory, line('trading-state-changed', { to: 'observe-only', maySubmit: false }));
    expect(alert?.text).to.contain('3 own order(s) still rest');
  });

  it('stay one bounded line whatever the venue said', () => {
    const [alert] = alertsOf(
      newAlertMemory(),
      line('discrepancy', { discrepancy: `BTC\n\u001b[2J\u2028${'x'.repeat(5_000)}` }),
    );
    expect(alert?.text).to.not.match(/[\p{Cc}\p{Zl}]/u);
    expect(alert?.text.length).to.be.lessThan(700);
  });
});

interface Received {
  readonly path: string;
  readonly body: { readonly text: string; readonly chat_id?: string; readonly alerts?: readonly Alert[] };
}

describe('alert delivery', () => {
  let folder: string;
  let server: Server;
  let delivery: AlertDelivery | null = null;
  let answer: (request: IncomingMessage, count: number) => number | null;
  const received: Received[] = [];
  const listeners = new Set<() => void>();
  const logged: Readonly<Record<string, unknown>>[] = [];
  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const arrived = (count: number): Promise<void> =>
    new Promise(resolve => {
      const look = (): void => {
        if (received.length < count) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
    });
  const alert = (text: string): Alert => ({ kind: 'residual', severity: 'critical', atMs: 0, text });

  beforeEach(async () => {
    folder = botFolder();
    received.length = 0;
    logged.length = 0;
    answer = () => 200;
    let count = 0;
    server = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      request.on('end', () => {
        received.push({ path: request.url ?? '', body: JSON.parse(text) as Received['body'] });
        count += 1;
        const status = answer(request, count);
        if (status !== null) response.writeHead(status).end('{}');
        for (const listener of listeners) listener();
      });
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    await delivery?.close(100);
    delivery = null;
    server.closeAllConnections();
    server.close();
    removeFolder(folder);
  });
  let onLogged: (() => void) | null = null;
  const untilLogged = (): Promise<void> =>
    new Promise(resolve => {
      onLogged = resolve;
      if (logged.length > 0) resolve();
    });
  const open = (settings: Parameters<typeof channelsOf>[0], giveUpAfterMs?: number): AlertDelivery => {
    delivery = openDelivery(
      channelsOf(settings),
      (_event, fields) => {
        logged.push(fields);
        onLogged?.();
      },
      giveUpAfterMs,
    );
    return delivery;
  };

  it('posts to the webhook, as text for people and as facts for programs', async () => {
    open({ webhookUrl: `${url()}/hook`, telegram: null }).send(alert('the facts'));
    await arrived(1);
    expect(received[0]?.path).to.equal('/hook');
    expect(received[0]?.body.text).to.equal('1970-01-01T00:00:00.000Z [critical] the facts');
    expect(received[0]?.body.alerts?.[0]?.kind).to.equal('residual');
  });

  it('sends to the Telegram chat with the token of the file', async () => {
    writeFileSync(join(folder, 'token'), '12345:not-a-real-token\n');
    open({
      webhookUrl: null,
      telegram: { chatId: '-100', tokenFile: join(folder, 'token'), url: url() },
    }).send(alert('the facts'));
    await arrived(1);
    expect(received[0]?.path).to.equal('/bot12345:not-a-real-token/sendMessage');
    expect(received[0]?.body.chat_id).to.equal('-100');
  });

  it('tries again after a refusal, and once it was taken not any more', async () => {
    answer = (_request, count) => (count === 1 ? 503 : 200);
    const opened = open({ webhookUrl: url(), telegram: null });
    opened.send(alert('the facts'));
    await arrived(2);
    await opened.close(1_000);
    expect(received.map(({ body }) => body.text)).to.deep.equal([
      received[0]?.body.text,
      received[0]?.body.text,
    ]);
    expect(opened.delivered).to.equal(1);
  });

  it('tries a receiver that hangs again in time for the 5 s an alert may take, and twice in any case', () => {
    expect(delayAfterHanging(0)).to.equal(0);
    expect(delayAfterHanging(1)).to.be.lessThan(3_000);
    expect(delayAfterHanging(2)).to.be.lessThan(8_000);
  });

  it('goes on trying while a receiver is down, and takes along what happened meanwhile', async () => {
    answer = (_request, count) => (count <= 3 ? 503 : 200);
    const opened = open({ webhookUrl: url(), telegram: null });
    opened.send(alert('the first'));
    await arrived(1);
    opened.send(alert('the second'));
    await arrived(4);
    await opened.close(5_000);
    expect(received[0]?.body.alerts?.map(({ text }) => text)).to.deep.equal(['the first']);
    expect(received[3]?.body.alerts?.map(({ text }) => text)).to.deep.equal(['the first', 'the second']);
    expect([opened.delivered, opened.dropped, logged.length]).to.deep.equal([2, 0, 0]);
  });

  for (const [why, status, giveUpAfterMs, attempts] of [
    ['it has been tried for long', 503, 0, 1],
    ['the receiver refuses it for what it is', 404, undefined, 4],
  ] as const)
    it(`gives an alert up when ${why}, counts it, says so, and takes the next one`, async () => {
      answer = (_request, count) => (count <= attempts ? status : 200);
      const opened = open({ webhookUrl: url(), telegram: null }, giveUpAfterMs);
      opened.send(alert('the lost one'));
      await arrived(attempts);
      await untilLogged();
      opened.send(alert('the next one'));
      await arrived(attempts + 1);
      await opened.close(5_000);
      expect(logged).to.deep.equal([{ channel: 'webhook', alerts: 1, why: `status ${status}` }]);
      expect([opened.delivered, opened.dropped]).to.deep.equal([1, 1]);
      expect(received.at(-1)?.body.alerts?.map(({ text }) => text)).to.deep.equal(['the next one']);
    });

  it('never waits for a receiver that hangs, drops the oldest beyond its bound, and ends in time', async () => {
    answer = () => null;
    const opened = open({ webhookUrl: url(), telegram: null });
    for (let count = 0; count < 1_000; count++) opened.send(alert(String(count)));
    await arrived(1);
    expect(opened.dropped).to.be.greaterThan(700);
    await opened.close(50);
  });

  it('sends what piled up together', async () => {
    const opened = open({ webhookUrl: url(), telegram: null });
    for (let count = 0; count < 30; count++) opened.send(alert(String(count)));
    await opened.close(5_000);
    expect(received.length).to.be.lessThan(10);
    expect(opened.delivered).to.equal(30);
  });

  it('does not say back a token that was given where the path of its file belongs', () => {
    const token = '123456:not-a-real-token-at-all';
    expect(() =>
      channelsOf({
        webhookUrl: null,
        telegram: { chatId: '1', tokenFile: join(folder, token), url: 'https://x' },
      }),
    )
      .to.throw('it is a token where the path of its file belongs')
      .with.property('message')
      .that.does.not.contain(token);
  });

  it('refuses a token file that is missing or holds no token', () => {
    writeFileSync(join(folder, 'token'), 'a b\n');
    for (const name of ['absent', 'token'])
      expect(() =>
        channelsOf({
          webhookUrl: null,
          telegram: { chatId: '1', tokenFile: join(folder, name), url: url() },
        }),
      ).to.throw(/absent|does not hold a bot token/);
  });
});
