/** The settings as the bot itself would read them, for verbs that judge a configuration. */
import { readFileSync } from 'node:fs';
import { readinessRefusals } from '../domain/readiness.js';
import { buildId } from '../runtime/build-id.js';
import { wallMs } from '../runtime/clock.js';
import { type LoadedConfig, loadSettings } from '../runtime/config.js';
import { drillPath, readDrill, readinessPath, readReadiness } from '../runtime/readiness-file.js';
import { textOption } from './books.js';
import type { VerbIo } from './verb.js';

export const loadForCli = (
  values: Readonly<Record<string, unknown>>,
  io: Pick<VerbIo, 'env'>,
): LoadedConfig =>
  loadSettings({
    env: io.env,
    configFile: textOption(values, 'config'),
    cwd: process.cwd(),
    readFile: path => readFileSync(path, 'utf8'),
    nowMs: wallMs(),
    evidenceRefusals: ({ stateDbPath, ...wanted }) =>
      readinessRefusals(readReadiness(readinessPath(stateDbPath)), readDrill(drillPath(stateDbPath)), {
        ...wanted,
        build: buildId(),
        nowMs: wallMs(),
      }),
  });
