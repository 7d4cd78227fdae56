/** Opens a ledger with a schema version of the future whose step kills the process in the middle. Argument: file. */
import { MIGRATIONS } from '#src/ledger/migrations.js';
import { SCHEMA_VERSION } from '#src/ledger/schema.js';
import { openLedger } from '#src/ledger/store.js';

openLedger({
  path: process.argv[2] ?? '',
  mode: 'paper',
  migrations: [
    ...MIGRATIONS,
    {
      version: SCHEMA_VERSION + 1,
      about: 'a step that does not survive',
      up(db) {
        db.exec("ALTER TABLE marks ADD COLUMN source TEXT NOT NULL DEFAULT ''");
        db.exec("INSERT INTO marks (symbol, price, at_ms, source) VALUES ('HALF', '1', 1, 'done')");
        process.kill(process.pid, 'SIGKILL');
        for (;;);
      },
    },
  ],
});
