import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { botFolder, databaseIn, removeFolder, startBot } from '../support/bot.js';

/** One refusal: settings beside a paper bot's own, and a piece of each line that must be said. */
interface Refusal {
  readonly title: string;
  readonly settings: (folder: string) => Record<string, string>;
  readonly lines: readonly RegExp[];
}

const REFUSALS: readonly Refusal[] = [
  {
    title: 'malformed and unknown settings, all at once, with a suggestion',
    settings: () => ({ SYMBLS: 'BTCTRY', MAX_OPEN_ORDERS: 'many', RECONCILE_INTERVAL_MS: '-4' }),
    lines: [/SYMBLS is not a setting; write SYMBOLS/, /RECONCILE_INTERVAL_MS "-4"/, /MAX_OPEN_ORDERS "many"/],
  },
  {
    title: 'a folder that cannot be made and a recording that is not there, both',
    settings: folder => {
      writeFileSync(join(folder, 'file'), '');
      return {
        STATE_DB_PATH: join(folder, 'file', 'btcbot.sqlite'),
        PAPER_RECORDING: join(folder, 'absent.jsonl'),
      };
    },
    lines: [/STATE_DB_PATH: the folder .* cannot be used/, /PAPER_RECORDING: .* cannot be read/],
  },
  {
    title: 'a recording that holds nothing to play',
    settings: folder => {
      writeFileSync(join(folder, 'bad.jsonl'), 'garbage\n');
      return { PAPER_RECORDING: join(folder, 'bad.jsonl') };
    },
    lines: [/recording .*bad\.jsonl: the line is not whole JSON \(line 1\)/],
  },
  {
    title: 'a symbol that the venue does not list',
    settings: () => ({ SYMBOLS: 'NOPETRY' }),
    lines: [/does not list NOPETRY/],
  },
  {
    title: 'parameters that the strategy does not have or cannot take, all at once',
    settings: () => ({ STRATEGY: 'maker', STRATEGY_CONFIG: '{"notionl":"5","refreshMs":1}' }),
    lines: [/no parameter "notionl".*refreshMs must be/],
  },
];

describe('the bot refuses to start, with exit code 2 and a line for each problem, on', function () {
  this.timeout(60_000);
  let folder: string;
  beforeEach(() => {
    folder = botFolder();
  });
  afterEach(() => removeFolder(folder));

  const expectRefusal = async (
    settings: Readonly<Record<string, string>>,
    lines: readonly RegExp[],
    code = 2,
  ): Promise<void> => {
    const bot = startBot({ VENUE: 'paper', STATE_DB_PATH: databaseIn(folder), ...settings });
    expect(await bot.ended).to.deep.equal({ code, signal: null });
    const said = bot.stderr().trimEnd().split('\n');
    expect(said, bot.stderr()).to.have.length(lines.length);
    for (const line of lines)
      expect(
        said.some(text => line.test(text)),
        `${line} in ${bot.stderr()}`,
      ).to.equal(true);
  };

  for (const { title, settings, lines } of REFUSALS)
    it(title, async () => {
      await expectRefusal(settings(folder), lines);
    });

  for (const [title, text, line] of [
    [
      'of another mode',
      '{"kind":"paper-account","version":1,"mode":"dry-run"}\n',
      /is the account of a dry-run run, this is a paper run: use another STATE_DB_PATH/,
    ],
    ['that is damaged', '{"kind":\n', /the paper account .* is damaged: line 1 is not JSON/],
  ] as const)
    it(`a paper account ${title}, with 3 as for a ledger, and leaves it as it is`, async () => {
      const account = join(folder, 'btcbot.paper.jsonl');
      writeFileSync(account, text);
      await expectRefusal({}, [line], 3);
      expect(readFileSync(account, 'utf8')).to.equal(text);
    });

  it('a metrics port that somebody else has', async () => {
    const other: Server = createServer();
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve));
    try {
      const port = String((other.address() as AddressInfo).port);
      await expectRefusal(
        {
          OBSERVABILITY_ENABLED: 'true',
          OBSERVABILITY_METRICS_EXPORTER: 'prometheus',
          OBSERVABILITY_PROMETHEUS_PORT: port,
        },
        [/metrics cannot be served.*address already in use/],
      );
    } finally {
      other.close();
    }
  });
});
