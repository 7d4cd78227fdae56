/** From the words of a command line to the exit code of its verb. */
import { parseArgs } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { ledgerRefusalIn } from '../messages/ledger-refusal.js';
import { CliRefused } from './refused.js';
import type { Verb, VerbIo } from './verb.js';
import { VERBS } from './verbs.js';

/** Every verb has these beside its own. */
const COMMON_OPTIONS = {
  json: { type: 'boolean' },
  config: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/**
 * Runs one command line.
 * @returns the exit code: the verb's own; 2 when verb, options or ledger are refused; 1 for anything unexpected.
 */
export const runCli = async (words: readonly string[], io: VerbIo): Promise<number> => {
  const [name, ...rest] = words;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const wanted = name === 'help' ? rest[0] : undefined;
    if (wanted === undefined) {
      (name === undefined ? io.err : io.out)(overview());
      return name === undefined ? 2 : 0;
    }
    return runCli([wanted, '--help'], io);
  }
  const entry = VERBS.find(each => each.name === name);
  if (entry === undefined) {
    io.err(
      `btcbot: no verb ${JSON.stringify(name)}${suggestion(
        name,
        VERBS.map(each => each.name),
      )}\n`,
    );
    io.err('btcbot --help lists them all\n');
    return 2;
  }
  try {
    const verb = await entry.load();
    const { values, positionals } = parseWords(verb, rest);
    if (values.help === true) {
      io.out(usage(verb));
      return 0;
    }
    return await verb.run({ values, positionals }, io);
  } catch (error) {
    const refusal = ledgerRefusalIn(error);
    if (refusal !== undefined || error instanceof CliRefused) {
      io.err(`btcbot ${name}: ${(error as Error).message}\n`);
      return 2;
    }
    io.err(`btcbot ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return 1;
  }
};

const parseWords = (
  verb: Verb,
  words: readonly string[],
): { values: Record<string, unknown>; positionals: string[] } => {
  const options = { ...verb.options, ...COMMON_OPTIONS };
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true, strict: true });
  } catch (error) {
    const unknown = /^Unknown option '--?([^']*)'/.exec((error as Error).message)?.[1];
    if (unknown === undefined) throw new CliRefused((error as Error).message);
    throw new CliRefused(
      `no option --${unknown}${suggestion(unknown, Object.keys(options), '--')}\nusage: btcbot ${verb.usage}`,
    );
  }
};

/** A likely meaning of a misspelt word, when there is one. */
const suggestion = (word: string, known: readonly string[], prefix = ''): string => {
  const near = closest(word, known);
  return distance(word, near) <= Math.max(2, Math.floor(near.length / 3))
    ? `: did you mean ${prefix}${near}?`
    : '';
};

const overview = (): string => {
  const width = Math.max(...VERBS.map(each => each.name.length));
  return [
    'usage: btcbot <verb> [options]',
    '',
    ...VERBS.map(each => `  ${each.name.padEnd(width)}  ${each.summary}`),
    '',
    'btcbot <verb> --help says more. Every verb takes --json, --config FILE and --help.',
    'Exit codes: 0 fine, 1 unexpected or degraded, 2 refused or unreachable.',
    '',
  ].join('\n');
};

const usage = (verb: Verb): string => `usage: btcbot ${verb.usage}\n\n${verb.about}\n`;
