/** The embedded exchange as an actor: on paper it is the venue, in dry run it mirrors the venue's public market. */
import { parse, resolve } from 'node:path';
import { AccountFileError } from '#src/exchange/account-file.js';
import { statementSummary } from '#src/exchange/admin.js';
import { MirrorError } from '#src/exchange/mirror.js';
import { RecordingError } from '#src/exchange/recording.js';
import { type RunningExchange, startExchange } from '#src/exchange/server.js';
import { ExchangeError, type ExchangeMarket } from '#src/exchange/setup.js';
import { StartRefused } from '#src/messages/control.js';
import { hostActor } from '#src/runtime/actor-host.js';
import type { WorkerBoot } from '#src/runtime/settings.js';

hostActor('paper-exchange', context => {
  let exchange: RunningExchange | null = null;
  const { settings } = context.boot;
  const { dir, name } = parse(resolve(settings.stateDbPath));
  const accountFile = resolve(dir, `${name}.paper.jsonl`);
  const statementFile = resolve(dir, `${name}.paper-account.json`);

  return {
    async start() {
      try {
        exchange = await startExchange({
          market: marketFor(context.boot),
          symbols: settings.symbols,
          seed: settings.paper.seed,
          mode: settings.mode,
          accountPath: accountFile,
          statementPath: statementFile,
          balances: settings.paper.balances,
          log: context.log,
        });
      } catch (error) {
        if (!isRefusal(error)) throw error;
        const code = error instanceof AccountFileError ? error.exitCode : 2;
        throw new StartRefused(code, error.message, { cause: error });
      }
      void exchange.finished.then(reason => {
        exchange?.writeStatement();
        context.toSupervisor({ type: 'work-finished', reason });
      });
      return {
        exchangeStartedAtMs: String(context.now().wallMs),
        baseUrl: exchange.url,
        graphUrl: exchange.url,
        wsUrl: exchange.wsUrl,
        apiKey: exchange.apiKey,
        apiSecret: exchange.apiSecret,
        accountFile,
        statementFile,
      };
    },
    onMessage() {},
    async drain() {
      await exchange?.close();
    },
    snapshot: () => (exchange === null ? null : statementSummary(exchange.account())),
  };
});

/** What an operator can mend: the recording, the account's file, the address, the market to mirror. */
const isRefusal = (error: unknown): error is Error =>
  error instanceof RecordingError ||
  error instanceof AccountFileError ||
  error instanceof ExchangeError ||
  error instanceof MirrorError;

const marketFor = ({ settings, publicEndpoints }: WorkerBoot): ExchangeMarket => {
  if (settings.venue !== 'paper')
    return { type: 'mirror', wsUrl: publicEndpoints.wsUrl, baseUrl: publicEndpoints.baseUrl };
  const { recording, speed } = settings.paper;
  return recording === null ? { type: 'generated' } : { type: 'recording', path: recording, speed };
};
