import { sign } from './harness.js';

/** A signed request over real HTTP. */
export const request = async (
  to: { readonly url: string; readonly apiKey: string; readonly apiSecret: string },
  method: string,
  path: string,
  body?: unknown,
): Promise<{ readonly status: number; readonly text: string }> => {
  const stamp = String(Date.now());
  const reply = await fetch(`${to.url}${path}`, {
    method,
    headers: {
      'x-pck': to.apiKey,
      'x-stamp': stamp,
      'x-signature': sign(to.apiSecret, `${to.apiKey}${stamp}`),
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, text: await reply.text() };
};
