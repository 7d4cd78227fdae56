/** Which program this is: its version, and a digest of the code it runs. Evidence and orders carry it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('..', import.meta.url));
/** Built beside the program, but no part of it. */
const NOT_RUN = ['test'];

let known: string | undefined;

/** `0.1.0+3f9a1c0b7d21`: equal for equal builds, different when one line of code differs. */
export const buildId = (): string => {
  known ??= computeBuildId();
  return known;
};

const computeBuildId = (): string => {
  const { version } = JSON.parse(readFileSync(join(DIST, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const digest = createHash('sha256');
  const files = (readdirSync(DIST, { recursive: true }) as string[])
    .filter(path => path.endsWith('.js') && !NOT_RUN.some(folder => path.startsWith(`${folder}/`)))
    .sort();
  for (const path of files) digest.update(path).update(readFileSync(join(DIST, path)));
  return `${version}+${digest.digest('hex').slice(0, 12)}`;
};
