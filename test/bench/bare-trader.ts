/**
 * What the bot is measured against: one thread, one process, nothing it could do without. A frame comes, its top of book
 * is read, an order is signed and posted; with a journal, one row is committed durably before. No gate, no limits, no
 * trust in nothing: it is not how to trade, it is how fast the parts are.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import SqliteDatabase from 'better-sqlite3';
import { Client } from 'undici';
import { WebSocket } from 'ws';

interface Settings {
  readonly url: string;
  readonly wsUrl: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  readonly symbol: string;
  readonly quantityScale: number;
  /** Path of the journal; null for none. */
  readonly journal: string | null;
}

const { url, wsUrl, apiKey, apiSecret, symbol, quantityScale, journal } = JSON.parse(
  process.env.BARE ?? '{}',
) as Settings;
const key = createSecretKey(Buffer.from(apiSecret, 'base64'));
const client = new Client(url, { keepAliveTimeout: 55_000, keepAliveMaxTimeout: 55_000 });

const openJournal = (path: string): ((id: string, body: string) => void) => {
  const db = new SqliteDatabase(path);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE intents (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL)');
  db.pragma('synchronous = FULL');
  const insert = db.prepare('INSERT INTO intents (id, body) VALUES (?, ?)');
  return (id, body) => void insert.run(id, body);
};
const keep = journal === null ? () => {} : openJournal(journal);

let sequence = 0;
const post = (price: number): void => {
  sequence += 1;
  const id = `bare-${sequence}`;
  const body = JSON.stringify({
    pairSymbol: symbol,
    orderType: 'buy',
    orderMethod: 'limit',
    price: String(Math.floor(price * 0.95)),
    quantity: (300 / (price * 0.95)).toFixed(quantityScale),
    newOrderClientId: id,
  });
  keep(id, body);
  const stamp = String(Date.now());
  const signature = createHmac('sha256', key)
    .update(apiKey + stamp)
    .digest('base64');
  void client
    .request({
      method: 'POST',
      path: '/api/v1/order',
      headers: {
        'content-type': 'application/json',
        'X-PCK': apiKey,
        'X-Stamp': stamp,
        'X-Signature': signature,
      },
      body,
    })
    .then(async reply => {
      const answered = (await reply.body.json()) as { readonly data?: { readonly id?: number } };
      if (reply.statusCode !== 200) throw new Error(`the order was refused: ${JSON.stringify(answered)}`);
      // Taken back, as the bot takes its own back, so that the account looks alike.
      const cancel = await client.request({
        method: 'DELETE',
        path: `/api/v1/order?id=${answered.data?.id}`,
        headers: signed(),
      });
      await cancel.body.dump();
    });
};

const signed = (): Record<string, string> => {
  const stamp = String(Date.now());
  return {
    'content-type': 'application/json',
    'X-PCK': apiKey,
    'X-Stamp': stamp,
    'X-Signature': createHmac('sha256', key)
      .update(apiKey + stamp)
      .digest('base64'),
  };
};

interface Level {
  readonly CP: number;
  readonly A: string;
  readonly P: string;
}

let best = 0;
const socket = new WebSocket(wsUrl, { perMessageDeflate: false });
socket.on('open', () => {
  socket.send(JSON.stringify([151, { type: 151, channel: 'obdiff', event: symbol, join: true }]));
});
socket.on('message', message => {
  const [model, payload] = JSON.parse(message.toString()) as [number, { readonly BO?: readonly Level[] }];
  if (model === 431) {
    best = Math.max(...(payload.BO ?? []).map(level => Number(level.P)));
    process.stdout.write('ready\n');
  } else if (model === 432 && payload.BO?.some(level => Number(level.P) >= best)) post(best);
});
