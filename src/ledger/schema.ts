/**
 * The tables and views of the ledger. Amounts are exact decimal text, times are Unix ms in the tables and UTC ISO-8601
 * in the views. Intents, transitions, fills, movements and audit lines are appended and never changed: triggers refuse
 * it, whoever asks.
 */

/** Schema version this program writes; `PRAGMA user_version` and `meta.schema_version` say what a file has. */
export const SCHEMA_VERSION = 3;

/** `PRAGMA application_id`: tells our files from other SQLite databases ("btcl"). */
export const APPLICATION_ID = 0x6274636c;

const APPEND_ONLY = [
  'orders',
  'order_events',
  'fills',
  'opening_balances',
  'balance_changes',
  'cash_movements',
  'audit',
] as const;

const TABLES = `
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The intent, exactly as it was made durable before its first byte left.
CREATE TABLE orders (
  seq INTEGER PRIMARY KEY,
  client_order_id TEXT NOT NULL UNIQUE,
  intent_id TEXT NOT NULL,
  strategy TEXT NOT NULL,
  symbol TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
  method TEXT NOT NULL,
  price TEXT,
  quantity TEXT NOT NULL,
  quote_quantity TEXT,
  stop_price TEXT,
  config_hash TEXT NOT NULL,
  cause TEXT NOT NULL,
  run INTEGER NOT NULL,
  intended_at_ms INTEGER NOT NULL
) STRICT;

-- Every transition. moment_ms and reason carry what the state itself carries (sent, since, requested; cause, reason).
CREATE TABLE order_events (
  seq INTEGER PRIMARY KEY,
  client_order_id TEXT NOT NULL,
  run INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  status TEXT NOT NULL,
  venue_order_id TEXT,
  filled TEXT,
  moment_ms INTEGER,
  reason TEXT,
  cause TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX order_events_by_order ON order_events (client_order_id, seq);

-- Where each order stands: the fold of its events and fills, kept in the same transaction.
CREATE TABLE order_states (
  order_seq INTEGER PRIMARY KEY REFERENCES orders (seq),
  ended INTEGER NOT NULL,
  status TEXT NOT NULL,
  venue_order_id TEXT,
  filled TEXT,
  moment_ms INTEGER,
  reason TEXT,
  sent_at_ms INTEGER,
  settled_at_ms INTEGER,
  booked TEXT NOT NULL,
  executed TEXT NOT NULL
) STRICT;
CREATE INDEX order_states_open ON order_states (order_seq) WHERE ended = 0;

CREATE TABLE fills (
  seq INTEGER PRIMARY KEY,
  trade_id TEXT NOT NULL UNIQUE,
  client_order_id TEXT,
  venue_order_id TEXT NOT NULL,
  symbol TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
  price TEXT NOT NULL,
  quantity TEXT NOT NULL,
  fee TEXT NOT NULL,
  tax TEXT NOT NULL,
  fee_asset TEXT NOT NULL,
  executed_at_ms INTEGER NOT NULL,
  booked_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX fills_by_order ON fills (client_order_id) WHERE client_order_id IS NOT NULL;

CREATE TABLE opening_balances (
  asset TEXT PRIMARY KEY,
  total TEXT NOT NULL,
  free TEXT NOT NULL,
  locked TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE balances (
  asset TEXT PRIMARY KEY,
  total TEXT NOT NULL,
  free TEXT NOT NULL,
  locked TEXT NOT NULL,
  as_of_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE balance_changes (
  seq INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  asset TEXT NOT NULL,
  total TEXT NOT NULL,
  free TEXT NOT NULL,
  locked TEXT NOT NULL
) STRICT;

CREATE TABLE cash_movements (
  seq INTEGER PRIMARY KEY,
  movement_id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('deposit', 'withdrawal')),
  asset TEXT NOT NULL,
  amount TEXT NOT NULL,
  fee TEXT NOT NULL,
  tax TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE holds (
  seq INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  cause TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  placed_at_ms INTEGER NOT NULL,
  recorded_at_ms INTEGER NOT NULL,
  released_at_ms INTEGER,
  released_by TEXT
) STRICT;
CREATE UNIQUE INDEX holds_in_force ON holds (key) WHERE released_at_ms IS NULL;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  event TEXT NOT NULL,
  event_id TEXT NOT NULL,
  cause TEXT NOT NULL,
  client_order_id TEXT,
  intent_id TEXT,
  facts TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_event ON audit (run, event_id);
CREATE INDEX audit_by_cause ON audit (run, cause);
CREATE INDEX audit_by_order ON audit (client_order_id) WHERE client_order_id IS NOT NULL;
CREATE INDEX audit_by_intent ON audit (intent_id) WHERE intent_id IS NOT NULL;

CREATE TABLE strategy_states (
  strategy TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
  symbol TEXT PRIMARY KEY,
  price TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE valuation (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  at_ms INTEGER NOT NULL,
  profit_try TEXT NOT NULL,
  peak_profit_try TEXT NOT NULL,
  day_start_ms INTEGER NOT NULL,
  day_start_profit_try TEXT NOT NULL
) STRICT;
`;

const iso = (column: string): string => `strftime('%Y-%m-%dT%H:%M:%fZ', ${column} / 1000.0, 'unixepoch')`;

const VIEWS = `
CREATE VIEW v_orders AS
SELECT o.client_order_id, s.venue_order_id, o.symbol, o.side, o.method, o.price, o.quantity,
       s.executed AS filled, s.status AS state, ${iso('o.intended_at_ms')} AS intended_at,
       ${iso('s.sent_at_ms')} AS sent_at, ${iso('s.settled_at_ms')} AS settled_at, o.cause
FROM orders o JOIN order_states s ON s.order_seq = o.seq
ORDER BY o.seq;

CREATE VIEW v_fills AS
SELECT trade_id, client_order_id, venue_order_id, symbol, side, price, quantity, fee, tax, fee_asset,
       ${iso('executed_at_ms')} AS executed_at
FROM fills
ORDER BY executed_at_ms, seq;

CREATE VIEW v_balances AS
SELECT asset, total, free, locked, ${iso('as_of_ms')} AS as_of
FROM balances
ORDER BY asset;

CREATE VIEW v_holds AS
SELECT key, cause, subject, detail, ${iso('placed_at_ms')} AS placed_at,
       ${iso('released_at_ms')} AS released_at, released_by
FROM holds
ORDER BY seq;

CREATE VIEW v_audit AS
SELECT seq, run, ${iso('at_ms')} AS at, actor, event, event_id, cause, client_order_id, intent_id, facts
FROM audit
ORDER BY seq;
`;

const TRIGGERS = APPEND_ONLY.map(
  table => `
CREATE TRIGGER ${table}_keep BEFORE DELETE ON ${table}
BEGIN SELECT RAISE(ABORT, '${table} is append-only'); END;
CREATE TRIGGER ${table}_stay BEFORE UPDATE ON ${table}
BEGIN SELECT RAISE(ABORT, '${table} is append-only'); END;
`,
).join('');

/** The first version's tables, views and triggers. */
export const SCHEMA_V1 = TABLES + VIEWS + TRIGGERS;

/** Each order with the strategy that wanted it and the reason that strategy gave. */
export const SCHEMA_V2 = `
ALTER TABLE orders ADD COLUMN tag TEXT;
CREATE VIEW v_order_reasons AS
SELECT client_order_id, strategy, tag FROM orders ORDER BY seq;
`;

/** What the older fills fold into; may be deleted at any time, as it follows from the fills. */
export const SCHEMA_V3 = `
CREATE TABLE book_checkpoints (
  through_seq INTEGER PRIMARY KEY,
  through_trade TEXT NOT NULL,
  format INTEGER NOT NULL,
  instance TEXT NOT NULL,
  opening_at_ms INTEGER,
  books TEXT NOT NULL,
  checksum TEXT NOT NULL
) STRICT;
`;
