/** Name, certificate and connection of each host of the venue that is not on this machine. */
import { lookup } from 'node:dns/promises';
import { connect } from 'node:tls';
import { wallMs } from '../runtime/clock.js';
import { isLoopbackHost } from '../runtime/setting-kinds.js';
import type { Settings } from '../runtime/settings.js';
import type { Check } from './checks.js';

const CERTIFICATE_WARN_DAYS = 7;
const CONNECT_MS = 5_000;

export const hostChecks = async (
  settings: Pick<Settings, 'venue' | 'endpoints'>,
): Promise<readonly Check[]> => {
  if (settings.venue === 'paper') return [];
  const { baseUrl, graphUrl, wsUrl } = settings.endpoints;
  const hosts = [...new Set([baseUrl, graphUrl, wsUrl].map(address => new URL(address).hostname))];
  return Promise.all(hosts.filter(host => !isLoopbackHost(host)).map(host => hostCheck(host)));
};

/** Where the host is asked, when not at the port of HTTPS with the authorities that Node trusts. */
interface Door {
  readonly port: number;
  readonly ca?: string;
}

/** Whether a host has an address, takes a connection, and shows a certificate that is trusted and lasts. */
export const hostCheck = async (host: string, door: Door = { port: 443 }): Promise<Check> => {
  const name = `host ${host}`;
  try {
    const { address } = await lookup(host);
    const days = await certificateDays(host, door);
    return days < CERTIFICATE_WARN_DAYS
      ? { name, verdict: 'warn', detail: `${address}; its certificate ends in ${days} days` }
      : { name, verdict: 'pass', detail: `${address}, its certificate is good for ${days} days` };
  } catch (error) {
    return { name, verdict: 'refused', detail: `${(error as Error).message}: look at network, DNS and TLS` };
  }
};

/** Whole days until the certificate ends; a chain that is not trusted is an error. */
const certificateDays = (host: string, door: Door): Promise<number> =>
  new Promise((done, fail) => {
    const socket = connect({ ...door, host, servername: host, timeout: CONNECT_MS }, () => {
      const { valid_to: validTo } = socket.getPeerCertificate();
      socket.end();
      done(Math.floor((Date.parse(validTo) - wallMs()) / 86_400_000));
    });
    socket.on('error', fail);
    socket.on('timeout', () => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)));
  });
