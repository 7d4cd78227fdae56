/**
 * `node dist/test/container/run.js [FOLDER]`: does every line of the Dockerfile, installs included, without a container
 * engine, and runs what came of it as PID 1 and under an init. Needs root on Linux, and the package registry.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assembleImage, sandboxRefusal } from './image.js';
import { tryImage } from './proof.js';

const refusal = sandboxRefusal();
if (refusal !== null) {
  process.stdout.write(`skipped: ${refusal}\n`);
  process.exit(0);
}
const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'btcbot-image-'));
let wrong: readonly string[] = [];
try {
  process.stdout.write('the Dockerfile, line by line\n');
  const image = assembleImage(folder);
  wrong = [
    ...(existsSync(join(image.folder, 'app/node_modules/typescript'))
      ? ['the image holds development dependencies']
      : []),
    ...(await tryImage(image, join(folder, 'first'), false)),
    ...(await tryImage(image, join(folder, 'second'), true)),
  ];
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(
  wrong.length === 0
    ? 'as PID 1 and under an init: started, traded on paper, healthy, SIGTERM ended it with 0\n'
    : `${wrong.join('\n')}\n`,
);
process.exit(wrong.length === 0 ? 0 : 1);
