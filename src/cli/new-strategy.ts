import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../runtime/folders.js';
import { textOption } from './books.js';
import { CliRefused } from './refused.js';
import { strategyTemplate, testTemplate } from './strategy-template.js';
import { json } from './table.js';
import type { Verb } from './verb.js';

export const verb: Verb = {
  name: 'new-strategy',
  usage: 'new-strategy NAME [--dir FOLDER] [--js] [--json]',
  about: `Writes a strategy of your own to start from, with comments, and a test of it that passes as it is.

NAME is 1 to 20 lower-case letters, digits and dashes, starting with a letter. Writes NAME.ts and NAME.test.ts (--js: .mjs) into
FOLDER, the working directory when it is not given; nothing is overwritten. Run the test with node --test, the strategy with
STRATEGY=./NAME.ts. JSON: { files: [path, …] }.`,
  options: { dir: { type: 'string' }, js: { type: 'boolean' } },
  async run({ values, positionals }, io) {
    const [name, ...more] = positionals;
    if (name === undefined || more.length > 0) throw new CliRefused('new-strategy takes one name');
    if (!/^[a-z][a-z0-9-]{0,19}$/.test(name))
      throw new CliRefused(
        `${JSON.stringify(name)} is no name for a strategy: write 1 to 20 lower-case letters, digits and dashes, starting with a letter`,
      );
    const folder = resolve(textOption(values, 'dir') ?? '.');
    const ending = values.js === true ? 'mjs' : 'ts';
    const [strategy, test] = [join(folder, `${name}.${ending}`), join(folder, `${name}.test.${ending}`)];
    for (const file of [strategy, test])
      if (existsSync(file)) throw new CliRefused(`${file} exists already; nothing was written`);
    const typed = ending === 'ts';
    try {
      makeFolder(folder);
      writeFileSync(strategy, strategyTemplate({ name, typed, port: specifierFrom(folder, 'strategy') }));
      writeFileSync(test, testTemplate({ name, typed, stage: specifierFrom(folder, 'testing'), ending }));
    } catch (error) {
      throw new CliRefused(
        `cannot write into ${folder}: ${(error as Error).message}; --dir names a folder this user may write to`,
      );
    }
    const shown = [strategy, test].map(file => relative(process.cwd(), file) || file);
    if (values.json === true) io.out(json({ files: shown }));
    else
      io.out(
        `${shown.join('\n')}\n\nnext: node --test ${quoted(shown[1] ?? '')}\nthen: STRATEGY=${/^[./]/.test(shown[0] ?? '') ? '' : './'}${quoted(shown[0] ?? '')} VENUE=paper npm start\n`,
      );
    return 0;
  },
};

/** A path as a shell takes it. */
const quoted = (path: string): string =>
  /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;

/** How a file in `folder` names a part of this package: by the package's name where that leads here, else by its path. */
const specifierFrom = (folder: string, part: 'strategy' | 'testing'): string => {
  if (isNamedFrom(folder)) return `btcbot/${part}`;
  const file = join(dirname(fileURLToPath(import.meta.url)), '..', `${part}.js`);
  const path = relative(folder, file).replaceAll('\\', '/');
  return path.startsWith('.') ? path : `./${path}`;
};

/** Whether Node finds the package by its name from a folder: it lies inside it, or the package is installed above it. */
const isNamedFrom = (folder: string): boolean => {
  if (isOurs(join(folder, 'package.json')) || isOurs(join(folder, 'node_modules', 'btcbot', 'package.json')))
    return true;
  const above = dirname(folder);
  return above !== folder && !existsSync(join(folder, 'package.json')) && isNamedFrom(above);
};

const isOurs = (path: string): boolean => {
  try {
    const { name, exports } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return name === 'btcbot' && typeof exports === 'object' && exports !== null && './testing' in exports;
  } catch {
    return false;
  }
};
