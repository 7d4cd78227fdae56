import { expect } from 'chai';
import { runCli } from '#src/cli/main.js';
import { FAULTS, parseFault } from '#src/exchange/faults.js';
import { startExchange } from '#src/exchange/server.js';
import { request } from '../exchange/client.js';
import { run } from './run.js';

describe('btcbot exchange', () => {
  it('refuses words it does not take, and a configuration to mirror by that cannot be read', async () => {
    const words = await run(['exchange', '9090', '--port', '0']);
    expect(words.code).to.equal(2);
    expect(words.err).to.contain('unexpected "9090"');
    const config = await run(['exchange', '--port', '0', '--mirror', '--config', '/no/such/file.json']);
    expect(config.code).to.equal(2);
    expect(config.err).to.contain('/no/such/file.json');
  });

  it('serves until it is stopped, with the faults it was given', async () => {
    const stopping = new AbortController();
    let out = '';
    let announced: () => void = () => undefined;
    const ready = new Promise<void>(resolve => {
      announced = resolve;
    });
    const code = runCli(
      [
        'exchange',
        '--port',
        '0',
        '--symbols',
        'BTC_TRY',
        '--balances',
        'TRY=5000.5',
        '--fault',
        'reject=FAILED_MARKET_ORDER,on=submit',
        '--json',
      ],
      {
        out: text => {
          out += text;
          announced();
        },
        err: () => undefined,
        terminal: false,
        env: {},
        signal: stopping.signal,
      },
    );
    await ready;
    const { baseUrl: url, apiKey, apiSecret } = JSON.parse(out) as Record<string, string>;
    const to = { url: url ?? '', apiKey: apiKey ?? '', apiSecret: apiSecret ?? '' };
    expect((await request(to, 'GET', '/api/v1/users/balances')).text).to.contain(
      '"balance":"5000.5000000000000000"',
    );
    const refused = await request(to, 'POST', '/api/v1/order', {
      pairSymbol: 'BTCTRY',
      orderType: 'buy',
      orderMethod: 'limit',
      price: '3000000',
      quantity: '0.001',
    });
    expect(refused.text).to.contain('FAILED_MARKET_ORDER');
    stopping.abort();
    expect(await code).to.equal(0);
  });

  it('mirrors the public market of another venue', async function () {
    this.timeout(60_000);
    const source = await startExchange({ market: { type: 'generated' }, symbols: ['BTCTRY'], seed: 4 });
    source.admin({ type: 'set-fault', fault: parseFault('no-rate-limits') });
    const stopping = new AbortController();
    let announced: (text: string) => void = () => undefined;
    const announcement = new Promise<string>(resolve => {
      announced = resolve;
    });
    const code = runCli(['exchange', '--port', '0', '--mirror', '--fault', 'no-rate-limits', '--json'], {
      out: text => announced(text),
      err: () => undefined,
      terminal: false,
      env: {
        BTCTURK_BASE_URL: source.url,
        BTCTURK_GRAPH_URL: source.url,
        BTCTURK_WS_URL: source.wsUrl,
      },
      signal: stopping.signal,
    });
    try {
      const { baseUrl } = JSON.parse(await announcement) as { readonly baseUrl: string };
      const bookAt = async (url: string): Promise<readonly unknown[]> => {
        const reply = await fetch(`${url}/api/v2/orderbook?pairSymbol=BTCTRY&limit=1`);
        const { data } = (await reply.json()) as {
          readonly data: { readonly bids: unknown[]; readonly asks: unknown[] };
        };
        return [data.bids, data.asks];
      };
      // Both move on: sooner or later a look falls between two changes.
      for (;;) {
        const [here, there] = [
          JSON.stringify(await bookAt(baseUrl)),
          JSON.stringify(await bookAt(source.url)),
        ];
        if (here === there && here !== '[[],[]]') break;
      }
    } finally {
      stopping.abort();
      expect(await code).to.equal(0);
      await source.close();
    }
  });

  it('plays a recording or mirrors a market, not both', async () => {
    const { code, err } = await run(['exchange', '--mirror', '--recording', 'a.jsonl.gz']);
    expect(code).to.equal(2);
    expect(err).to.contain('one market at a time');
  });

  it('lists its faults', async () => {
    const { code, json } = await run(['exchange', '--list-faults', '--json']);
    expect(code).to.equal(0);
    expect(json<{ name: string }[]>().map(({ name }) => name)).to.deep.equal(Object.keys(FAULTS));
    expect((await run(['exchange', '--list-faults'])).out).to.contain('cancel-overtaken');
  });

  it('names every problem of its options at once, with code 2', async () => {
    const { code, err } = await run([
      'exchange',
      '--port',
      '99999',
      '--fault',
      'hag',
      '--balances',
      'TRY=lots',
      '--key',
      'k',
      '--fee-level',
      '9',
      '--recording',
      'x',
      '--speed',
      'fast',
    ]);
    expect(code).to.equal(2);
    for (const words of [
      '--port 99999',
      'did you mean hang?',
      '--balances TRY=lots',
      '--key and --secret go together',
      '--fee-level 9',
      '--speed fast',
    ])
      expect(err).to.contain(words);
  });

  for (const [title, words, said] of [
    ['a recording that is not there', ['--recording', '/nowhere/at/all'], 'cannot be read: ENOENT'],
    ['another host', ['--host', '0.0.0.0'], 'loopback only'],
    ['an unlisted symbol', ['--symbols', 'NOPETRY'], 'does not list NOPETRY'],
  ] as const)
    it(`refuses ${title} in one line, with code 2`, async () => {
      const { code, err } = await run(['exchange', '--port', '0', ...words]);
      expect(code).to.equal(2);
      expect(err).to.contain(said);
      expect(err.trim().split('\n')).to.have.length(1);
    });
});
