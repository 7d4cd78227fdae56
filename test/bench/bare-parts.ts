/**
 * What the bot is measured against, with nothing it could do without: a frame comes, its top of book is read, an order is
 * signed and posted; with a journal, one row is committed durably before. No gate, no limits, no trust in nothing: it is
 * not how to trade, it is how fast the parts are.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import SqliteDatabase from 'better-sqlite3';
import { Client } from 'undici';
import { WebSocket } from 'ws';

export interface BareSettings {
  readonly url: string;
  readonly wsUrl: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  readonly symbol: string;
  readonly quantityScale: number;
  /** Path of the journal; null for none. */
  readonly journal: string | null;
  /** Each part on a thread of its own. */
  readonly split: boolean;
}

/** An order's name, and the bytes of its request. */
export interface BareOrder {
  readonly id: string;
  readonly body: string;
}

interface Level {
  readonly CP: number;
  readonly A: string;
  readonly P: string;
}

/** Subscribes to the market. @param onBid told the best bid at the start, and again whenever it is touched */
export const watchBids = (
  { wsUrl, symbol }: BareSettings,
  onBid: (price: number, isFirst: boolean) => void,
): void => {
  let best = 0;
  const socket = new WebSocket(wsUrl, { perMessageDeflate: false });
  socket.on('open', () => {
    socket.send(JSON.stringify([151, { type: 151, channel: 'obdiff', event: symbol, join: true }]));
  });
  socket.on('message', message => {
    const [model, payload] = JSON.parse(message.toString()) as [number, { readonly BO?: readonly Level[] }];
    if (model === 431) {
      best = Math.max(...(payload.BO ?? []).map(level => Number(level.P)));
      onBid(best, true);
    } else if (model === 432 && payload.BO?.some(level => Number(level.P) >= best)) onBid(best, false);
  });
};

/** What decides: one order below the market for each bid. */
export const bareDecider = ({ symbol, quantityScale }: BareSettings): ((bid: number) => BareOrder) => {
  let sequence = 0;
  return bid => {
    sequence += 1;
    const id = `bare-${sequence}`;
    const body = JSON.stringify({
      pairSymbol: symbol,
      orderType: 'buy',
      orderMethod: 'limit',
      price: String(Math.floor(bid * 0.95)),
      quantity: (300 / (bid * 0.95)).toFixed(quantityScale),
      newOrderClientId: id,
    });
    return { id, body };
  };
};

/** What makes an order durable; nothing without a journal. */
export const bareJournal = ({ journal }: BareSettings): ((order: BareOrder) => void) => {
  if (journal === null) return () => {};
  const db = new SqliteDatabase(journal);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE intents (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL)');
  db.pragma('synchronous = FULL');
  const insert = db.prepare('INSERT INTO intents (id, body) VALUES (?, ?)');
  return ({ id, body }) => void insert.run(id, body);
};

/** What posts an order, and takes it back once it works, as the bot does, so that the accounts look alike. */
export const bareSender = ({ url, apiKey, apiSecret }: BareSettings): ((order: BareOrder) => void) => {
  const key = createSecretKey(Buffer.from(apiSecret, 'base64'));
  const client = new Client(url, { keepAliveTimeout: 55_000, keepAliveMaxTimeout: 55_000 });
  const signed = (): Record<string, string> => {
    const stamp = String(Date.now());
    const signature = createHmac('sha256', key)
      .update(apiKey + stamp)
      .digest('base64');
    return {
      'content-type': 'application/json',
      'X-PCK': apiKey,
      'X-Stamp': stamp,
      'X-Signature': signature,
    };
  };
  return ({ body }) =>
    void client
      .request({ method: 'POST', path: '/api/v1/order', headers: signed(), body })
      .then(async reply => {
        const answered = (await reply.body.json()) as { readonly data?: { readonly id?: number } };
        if (reply.statusCode !== 200) throw new Error(`the order was refused: ${JSON.stringify(answered)}`);
        const cancel = await client.request({
          method: 'DELETE',
          path: `/api/v1/order?id=${answered.data?.id}`,
          headers: signed(),
        });
        await cancel.body.dump();
      });
};
