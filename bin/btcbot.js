#!/usr/bin/env node
/** `btcbot` by name. It is there before the first build: npx keeps what it finds then, and never looks again. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const cli = new URL('../dist/cli.js', import.meta.url);
if (existsSync(cli)) await import(cli.href);
else {
  const folder = fileURLToPath(new URL('..', import.meta.url));
  process.stderr.write(`btcbot: it is not built yet: run "npm ci && npm run build" in ${folder}\n`);
  process.exitCode = 2;
}
