declare module 'comlink/dist/esm/node-adapter.mjs' {
  import type { MessagePort } from 'node:worker_threads';
  import type { Endpoint } from 'comlink';
  /** comlink's endpoint over a Node port; the package ships this file without types for ESM. */
  export default function nodeEndpoint(port: MessagePort): Endpoint;
}
