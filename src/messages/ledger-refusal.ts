/** Why the ledger refuses to open, told so that it survives the way from the ledger's thread to the supervisor's. */

/** Each reason with the exit code of the process that met it (design: processes and commands). */
export const LEDGER_REFUSALS = {
  /** Another process, or another ledger of this one, owns the file. */
  owned: 5,
  /** Somebody without the owner's lock keeps the database locked. */
  locked: 5,
  /** Damaged, or not a database. */
  integrity: 3,
  /** A database of another program. */
  'not-a-ledger': 3,
  /** Written by a newer version. */
  'newer-schema': 3,
  /** Written in another mode: dry run, paper and live never share a file. */
  'mode-mismatch': 3,
  'network-file-system': 2,
  /** Directory or file cannot be created or written. */
  unwritable: 2,
  'sqlite-too-old': 2,
} as const;

export type LedgerRefusalReason = keyof typeof LEDGER_REFUSALS;

const NAME = 'LedgerRefused';

/**
 * The ledger will not open this file; the message says what was found and what to do. The reason is part of `name`,
 * because a comlink call carries only name, message and stack of an error.
 */
export class LedgerRefused extends Error {
  readonly reason: LedgerRefusalReason;

  constructor(reason: LedgerRefusalReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = `${NAME}/${reason}`;
    this.reason = reason;
  }
}

/** The refusal in an error, also in one that has crossed a thread; `undefined` for any other error. */
export const ledgerRefusalIn = (
  error: unknown,
):
  | { readonly reason: LedgerRefusalReason; readonly exitCode: number; readonly message: string }
  | undefined => {
  if (!(error instanceof Error) || !error.name.startsWith(`${NAME}/`)) return undefined;
  const reason = error.name.slice(NAME.length + 1);
  if (!Object.hasOwn(LEDGER_REFUSALS, reason)) return undefined;
  const known = reason as LedgerRefusalReason;
  return { reason: known, exitCode: LEDGER_REFUSALS[known], message: error.message };
};
