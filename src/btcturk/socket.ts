/** A WebSocket to the venue with the limits it lacks by default (design section 6, ws). */
import { WebSocket } from 'ws';

export interface SocketHandlers {
  onOpen(): void;
  onText(text: string): void;
  onPing(): void;
  /** Called once: the socket is gone, or could not be made. Nothing follows. */
  onClosed(detail: string): void;
}

export interface VenueSocket {
  send(text: string): void;
  /** Drops the connection without waiting for the other side, which may be dead. `onClosed` does not follow. */
  drop(): void;
}

const HANDSHAKE_TIMEOUT_MS = 5_000;
const FRAME_BYTES_MAX = 1024 * 1024;
/** Bytes we may owe the socket; a peer that reads nothing is dropped. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024;

/** Starts connecting. @param url `wss://host` or `ws://host`; the venue listens at `/` */
export const openSocket = (url: string, handlers: SocketHandlers): VenueSocket => {
  let over = false;
  const end = (detail: string): void => {
    if (over) return;
    over = true;
    socket.terminate();
    handlers.onClosed(detail);
  };
  const socket = new WebSocket(new URL('/', url), {
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    followRedirects: false,
  });
  socket.on('open', () => {
    if (!over) handlers.onOpen();
  });
  socket.on('message', (message, isBinary) => {
    if (over || isBinary) return;
    handlers.onText(message.toString());
  });
  socket.on('ping', () => {
    if (!over) handlers.onPing();
  });
  socket.on('unexpected-response', (_request, response) => {
    response.resume();
    end(`the handshake was refused with HTTP ${response.statusCode ?? 0}`);
  });
  socket.on('error', error => end(error.message));
  socket.on('close', code => end(`closed with code ${code}`));
  return {
    send: text => {
      if (over || socket.readyState !== WebSocket.OPEN) return;
      if (socket.bufferedAmount > UNSENT_BYTES_MAX) end('the other side does not read');
      else socket.send(text);
    },
    drop: () => {
      over = true;
      socket.terminate();
    },
  };
};
