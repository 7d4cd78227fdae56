import { runCli } from '#src/cli/main.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What was printed, as JSON. */
  json<T = Record<string, unknown>>(): T;
}

/** Runs a command line inside this process. */
export const run = async (words: readonly string[], env: Record<string, string> = {}): Promise<Ran> => {
  let out = '';
  let err = '';
  const code = await runCli(words, {
    out: text => {
      out += text;
    },
    err: text => {
      err += text;
    },
    terminal: false,
    env,
    signal: new AbortController().signal,
  });
  return { code, out, err, json: <T>() => JSON.parse(out) as T };
};
