/** The operator's way into a running bot: a Unix socket beside the database, for its owner only, never a TCP port. */
import { chmodSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { CommandAnswer, OperatorCommand } from '../domain/supervisor.js';
import { MAX_LINE_BYTES, parseRequest, socketPathProblem, toLine } from '../runtime/control-protocol.js';

/** Longest request line; requests are small. */
const MAX_REQUEST_BYTES = 64 * 1024;
const MAX_CONNECTIONS = 16;
/**
 * What gives the bot more freedom, or a new key. A process that stood still finds such orders in its socket whose askers have
 * long been told that nobody answers, and may have ordered the opposite since: they are carried out only while the asker waits.
 */
const ONLY_WHILE_ASKED: ReadonlySet<OperatorCommand['type']> = new Set([
  'safe-mode-off',
  'drill-kill',
  'rotate-key',
]);
/** An end that came right behind a request is read a turn of the loop after it. */
const TURNS_TO_HANG_UP = 3;

let made = 0;

/**
 * Where a socket is made before it takes its place. Whoever closes a server removes what lies under the name it was made
 * with, and a bot that is ending may find its successor's socket there already. Where the system has no room for the name,
 * the place itself.
 */
const makingPlaceOf = (path: string): string => {
  made += 1;
  const own = join(dirname(path), `.${process.pid}-${made}`);
  return socketPathProblem(own) === null ? own : path;
};

export interface ControlSocket {
  /** Sends the answer to a request, if its asker is still there. */
  answer(request: number, answer: CommandAnswer): void;
  close(): void;
}

/**
 * Listens at `path`. Call it only once the data is owned: a socket left there by a dead bot is removed.
 * @throws when the path is too long or the socket cannot be made.
 */
export const openControlSocket = (
  path: string,
  onCommand: (request: number, command: OperatorCommand) => void,
): Promise<ControlSocket> => {
  const problem = socketPathProblem(path);
  if (problem !== null) return Promise.reject(new Error(problem));
  const askers = new Map<number, { readonly socket: Socket; readonly id: number }>();
  const sockets = new Set<Socket>();
  let nextRequest = 1;

  const onLine = (socket: Socket, line: string): void => {
    const parsed = parseRequest(line);
    if (parsed === undefined) {
      socket.write(toLine({ id: 0, ok: false, message: 'not a request this bot knows' }));
      return;
    }
    const request = nextRequest++;
    const { id, ...command } = parsed;
    askers.set(request, { socket, id });
    if (ONLY_WHILE_ASKED.has(command.type)) whileAsked(socket, () => onCommand(request, command));
    else onCommand(request, command);
  };

  const whileAsked = (socket: Socket, act: () => void, turns = TURNS_TO_HANG_UP): void => {
    if (socket.destroyed || socket.readableEnded) return;
    if (turns === 0) act();
    else setImmediate(() => whileAsked(socket, act, turns - 1));
  };

  const server: Server = createServer(socket => {
    if (sockets.size >= MAX_CONNECTIONS) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    let waiting = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      waiting += chunk;
      for (let end = waiting.indexOf('\n'); end >= 0; end = waiting.indexOf('\n')) {
        const line = waiting.slice(0, end);
        waiting = waiting.slice(end + 1);
        if (line.length <= MAX_REQUEST_BYTES) onLine(socket, line);
      }
      if (waiting.length > MAX_REQUEST_BYTES) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      for (const [request, asker] of askers) if (asker.socket === socket) askers.delete(request);
    });
  });

  let inode: number | null = null;
  const control: ControlSocket = {
    answer(request, answer) {
      const asker = askers.get(request);
      if (asker === undefined) return;
      askers.delete(request);
      const line = toLine({ id: asker.id, ...answer });
      // An asker that does not read must not make us keep its answers.
      if (asker.socket.writableLength + line.length > MAX_LINE_BYTES) asker.socket.destroy();
      else asker.socket.write(line);
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      try {
        if (lstatSync(path).ino === inode) rmSync(path, { force: true });
      } catch {
        // On a disk that has turned read-only the name stays; the next start takes its place. A stop goes on.
      }
    },
  };
  return new Promise((resolve, reject) => {
    const making = makingPlaceOf(path);
    rmSync(making, { force: true });
    server.once('error', reject);
    const before = process.umask(0o177);
    server.listen(making, () => {
      process.umask(before);
      server.off('error', reject);
      server.on('error', () => {});
      try {
        chmodSync(making, 0o600);
        if (making !== path) renameSync(making, path);
        inode = lstatSync(path).ino;
        resolve(control);
      } catch (error) {
        server.close();
        reject(error as Error);
      }
    });
  });
};
