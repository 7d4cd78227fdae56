import { expect } from 'chai';
import fc from 'fast-check';
import type { MarketTicker } from '#src/domain/market-events.js';
import { parseDecimal } from '#src/domain/money.js';
import {
  chooseUniverse,
  initialUniverseMemory,
  NO_RULES,
  type UniverseMemory,
  type UniverseRules,
} from '#src/domain/universe.js';
import { runs } from '../runs.js';

const SYMBOLS = ['BTCTRY', 'ETHTRY', 'XRPTRY'];

const ticker = (symbol: string, volume: string, bid = '99', ask = '101'): MarketTicker => ({
  symbol,
  bid: parseDecimal(bid),
  ask: parseDecimal(ask),
  last: parseDecimal('100'),
  volume: parseDecimal(volume),
  atMs: 0,
});
const TICKERS = [
  ticker('BTCTRY', '1000'),
  ticker('ETHTRY', '3000', '99.95', '100.05'),
  ticker('XRPTRY', '20'),
];

const choose = (
  rules: Partial<UniverseRules>,
  nowMs = 0,
  memory: UniverseMemory = initialUniverseMemory,
  tickers: readonly MarketTicker[] = TICKERS,
) => chooseUniverse(SYMBOLS, { ...NO_RULES, ...rules }, tickers, memory, nowMs);

describe('the universe', () => {
  for (const [words, rules, symbols, out] of [
    ['without rules is everything, by volume', {}, 'ETHTRY BTCTRY XRPTRY', []],
    [
      'leaves out what trades too little, in quote',
      { minVolume: parseDecimal('100000') },
      'ETHTRY BTCTRY',
      [['XRPTRY', 'volume-too-low']],
    ],
    [
      'leaves out what is too wide',
      { maxSpreadBps: 10 },
      'ETHTRY',
      [
        ['BTCTRY', 'spread-too-wide'],
        ['XRPTRY', 'spread-too-wide'],
      ],
    ],
    [
      'keeps to the list of the allowed',
      { allow: ['XRPTRY'] },
      'XRPTRY',
      [
        ['BTCTRY', 'not-allowed'],
        ['ETHTRY', 'not-allowed'],
      ],
    ],
    [
      'keeps off the list of the denied, whatever is allowed',
      { allow: ['XRPTRY', 'BTCTRY'], deny: ['XRPTRY'] },
      'BTCTRY',
      [
        ['ETHTRY', 'not-allowed'],
        ['XRPTRY', 'denied'],
      ],
    ],
    [
      'takes the busiest',
      { maxSymbols: 1 },
      'ETHTRY',
      [
        ['BTCTRY', 'beyond-the-most'],
        ['XRPTRY', 'beyond-the-most'],
      ],
    ],
  ] as const)
    it(words, () => {
      const { universe } = choose(rules as Partial<UniverseRules>);
      expect(universe.symbols.join(' ')).to.equal(symbols);
      expect(new Map(universe.out)).to.deep.equal(new Map(out as readonly (readonly [string, never])[]));
      expect(universe.entered).to.deep.equal(universe.symbols);
    });

  it('has nothing of which nothing is known', () => {
    expect(choose({}, 0, initialUniverseMemory, []).universe.symbols).to.deep.equal([]);
    const oneSided = [ticker('BTCTRY', '1', '0', '1')];
    expect(
      choose({ maxSpreadBps: 1e9 }, 0, initialUniverseMemory, oneSided).universe.out.get('BTCTRY'),
    ).to.equal('spread-too-wide');
  });

  it('waits until a symbol has been watched for long enough', () => {
    const first = choose({ minAgeMs: 1_000 }, 5_000);
    expect(first.universe.symbols).to.deep.equal([]);
    expect(choose({ minAgeMs: 1_000 }, 5_999, first.memory).universe.symbols).to.deep.equal([]);
    const old = choose({ minAgeMs: 1_000 }, 6_000, first.memory);
    expect(old.universe.entered).to.deep.equal(['ETHTRY', 'BTCTRY', 'XRPTRY']);
  });

  it('keeps out for the cooldown what has fallen out, and says what came and went', () => {
    const rules = { minVolume: parseDecimal('100000'), cooldownMs: 60_000 };
    const quiet = [ticker('BTCTRY', '1'), TICKERS[1] as MarketTicker];
    let { memory } = choose(rules, 0);
    const fallen = choose(rules, 1_000, memory, quiet);
    expect([fallen.universe.symbols, fallen.universe.left]).to.deep.equal([['ETHTRY'], ['BTCTRY']]);
    memory = fallen.memory;
    const early = choose(rules, 60_999, memory);
    expect(early.universe.out.get('BTCTRY')).to.equal('cooling-down');
    const back = choose(rules, 61_000, early.memory);
    expect([back.universe.symbols, back.universe.entered]).to.deep.equal([['ETHTRY', 'BTCTRY'], ['BTCTRY']]);
  });

  it('never holds a symbol that is not allowed, and accounts for every one', () => {
    const tickers = fc.array(
      fc.record({
        symbol: fc.constantFrom(...SYMBOLS, 'DOGETRY'),
        volume: fc.integer({ min: 0, max: 100 }),
        ask: fc.integer({ min: 90, max: 120 }),
      }),
    );
    const rules = fc.record({
      deny: fc.subarray(SYMBOLS),
      allow: fc.option(fc.subarray(SYMBOLS)),
      maxSymbols: fc.option(fc.nat(4)),
      minAgeMs: fc.nat(50),
      cooldownMs: fc.nat(50),
      maxSpreadBps: fc.option(fc.nat(3_000)),
      minVolume: fc.option(fc.bigInt({ min: 0n, max: parseDecimal('10000') })),
    });
    fc.assert(
      fc.property(rules, fc.array(tickers, { maxLength: 8 }), (given, history) => {
        let memory = initialUniverseMemory;
        for (const [index, each] of history.entries()) {
          const rows = each.map(({ symbol, volume, ask }) =>
            ticker(symbol, String(volume), '100', String(ask)),
          );
          const chosen = chooseUniverse(SYMBOLS, given, rows, memory, index * 20);
          const { symbols, out, entered, left } = chosen.universe;
          expect([...symbols, ...out.keys()].sort()).to.deep.equal(SYMBOLS);
          expect(symbols.length).to.be.at.most(given.maxSymbols ?? 3);
          for (const symbol of symbols) expect(given.deny).not.to.include(symbol);
          const expected = new Set([...memory.symbols.filter(one => !left.includes(one)), ...entered]);
          expect(new Set(symbols)).to.deep.equal(expected);
          memory = chosen.memory;
        }
      }),
      { numRuns: runs(500) },
    );
  });
});
