/**
 * The conversation between `btcbot` and a running bot: one JSON object a line, over a Unix socket beside the database.
 * A request names itself; its reply carries the same number.
 */
import type { CommandAnswer, OperatorCommand } from '../domain/supervisor.js';

export const controlSocketPath = (stateDbPath: string): string => `${stateDbPath}.sock`;

/** Bytes a Unix socket's path may have: 108 with its closing zero on Linux, 104 on macOS. */
const MAX_SOCKET_PATH_BYTES = process.platform === 'darwin' ? 103 : 107;

/** Why no socket can be made at this path; null when it can. */
export const socketPathProblem = (path: string): string | null => {
  const bytes = Buffer.byteLength(path);
  return bytes <= MAX_SOCKET_PATH_BYTES
    ? null
    : `the control socket ${path} has a path of ${bytes} bytes and the system allows ${MAX_SOCKET_PATH_BYTES}; choose a shorter STATE_DB_PATH`;
};

/** Longest line either side accepts. */
export const MAX_LINE_BYTES = 4 * 1024 * 1024;

export type ControlRequest = { readonly id: number } & OperatorCommand;
export type ControlReply = { readonly id: number } & CommandAnswer;

/** JSON text of one line; bigints as decimal text would need a unit, so facts must not hold any. */
export const toLine = (message: ControlRequest | ControlReply): string =>
  `${JSON.stringify(message, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))}\n`;

const text = (value: unknown, fallback: string): string => (typeof value === 'string' ? value : fallback);

/** A request as it came in; undefined when it is none. */
export const parseRequest = (line: string): ControlRequest | undefined => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, type, reason, acknowledgement, key } = value as Readonly<Record<string, unknown>>;
  if (typeof id !== 'number') return undefined;
  switch (type) {
    case 'status':
    case 'drill-kill':
    case 'rotate-key':
      return { id, type };
    case 'safe-mode-on':
    case 'cancel-all':
      return { id, type, reason: text(reason, 'an operator') };
    case 'safe-mode-off':
      return { id, type, acknowledgement: text(acknowledgement, ''), key: text(key, 'operator') };
    default:
      return undefined;
  }
};
