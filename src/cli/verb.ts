import type { ParseArgsOptionsConfig } from 'node:util';

/** Where a verb writes; tests hand in their own. */
export interface VerbIo {
  out(text: string): void;
  err(text: string): void;
  /** True when stdout is a terminal. */
  readonly terminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends a verb that runs until stopped. */
  readonly signal: AbortSignal;
}

/** One verb of `btcbot`. Each lives in a file of its own beside this one and is listed in verbs.ts. */
export interface Verb {
  readonly name: string;
  /** `orders [--symbol S] [--json]` */
  readonly usage: string;
  readonly about: string;
  /** Its own options; `--json`, `--config` and `--help` are added for every verb. */
  readonly options: ParseArgsOptionsConfig;
  /** @returns the exit code (design: 0 fine, 1 unexpected or degraded, 2 refused or unreachable). */
  run(
    input: { readonly values: Readonly<Record<string, unknown>>; readonly positionals: readonly string[] },
    io: VerbIo,
  ): Promise<number>;
}
