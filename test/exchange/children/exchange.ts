/** An exchange in a process of its own, to be killed: `node exchange.js <account file>`. Prints its addresses and key. */
import { startExchange } from '#src/exchange/server.js';
import { amounts } from '../harness.js';

const [accountPath = ''] = process.argv.slice(2);
const exchange = await startExchange({
  market: { type: 'generated' },
  symbols: ['BTCTRY'],
  accountPath,
  balances: amounts({ TRY: '1000000', BTC: '1' }),
});
console.log(JSON.stringify({ url: exchange.url, apiKey: exchange.apiKey, apiSecret: exchange.apiSecret }));
