import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { expect } from 'chai';
import { hostCheck, hostChecks } from '#src/cli/host-checks.js';
import { botFolder, removeFolder } from '../support/bot.js';

describe('the hosts of the venue', () => {
  it('are not asked about when they are on this machine, or on paper', async () => {
    const loopback = {
      baseUrl: 'http://127.0.0.1:1',
      graphUrl: 'http://localhost:1',
      wsUrl: 'ws://127.0.0.1:1',
    };
    const real = { ...loopback, baseUrl: 'https://api.btcturk.com' };
    expect(await hostChecks({ venue: 'btcturk', endpoints: loopback })).to.deep.equal([]);
    expect(await hostChecks({ venue: 'paper', endpoints: real })).to.deep.equal([]);
  });

  it('are refused when they have no address', async () => {
    // A label of more than 63 characters is no name: nobody is asked.
    const check = await hostCheck('x'.repeat(64));
    expect(check).to.include({ verdict: 'refused', name: `host ${'x'.repeat(64)}` });
    expect(check.detail).to.contain('look at network, DNS and TLS');
  });
});

describe('a host that speaks TLS', () => {
  let folder: string;
  let server: Server;
  const canMake = spawnSync('openssl', ['version']).error === undefined;
  const port = (): number => (server.address() as AddressInfo).port;
  /** A server on loopback with a certificate made for this test, good for so many days. */
  const serve = async (days: number): Promise<string> => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const words = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -days ${days}`;
    const made = spawnSync('openssl', [...words.split(' '), '-keyout', key, '-out', cert], {
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(made.stderr);
    const ca = readFileSync(cert, 'utf8');
    server = createServer({ key: readFileSync(key), cert: ca });
    server.on('tlsClientError', () => {});
    await new Promise<void>(resolve => server.listen(0, 'localhost', resolve));
    return ca;
  };
  beforeEach(function () {
    if (!canMake) {
      console.log('      skipped: openssl is absent');
      this.skip();
    }
    folder = botFolder();
  });
  afterEach(() => {
    server?.close();
    if (folder !== undefined) removeFolder(folder);
  });

  it('passes with a certificate that is trusted and lasts', async () => {
    const ca = await serve(30);
    const check = await hostCheck('localhost', { port: port(), ca });
    expect(check.verdict).to.equal('pass');
    expect(check.detail).to.match(/its certificate is good for (29|30) days$/);
  });

  it('is warned of when its certificate ends within a week', async () => {
    const ca = await serve(3);
    const check = await hostCheck('localhost', { port: port(), ca });
    expect(check.verdict).to.equal('warn');
    expect(check.detail).to.match(/its certificate ends in [23] days$/);
  });

  it('is refused when nobody trusts its certificate, and when nobody listens', async () => {
    await serve(30);
    const taken = port();
    expect(await hostCheck('localhost', { port: taken })).to.include({ verdict: 'refused' });
    await new Promise(resolve => server.close(resolve));
    expect(await hostCheck('localhost', { port: taken })).to.include({ verdict: 'refused' });
  });
});
