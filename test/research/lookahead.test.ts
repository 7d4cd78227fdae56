import { expect } from 'chai';
import { fromInteger } from '#src/domain/money.js';
import type { StrategyDefinition } from '#src/domain/strategy.js';
import { runFast } from '#src/research/fast-run.js';
import { checkLookahead } from '#src/research/lookahead.js';
import { type MarketTape, tapeUntil } from '#src/research/tape.js';
import { maker } from '#src/strategies/maker.js';
import { type GeneratedMarket, generatedMarket, studyOf } from './studies.js';

const RATES = new Map([
  ['TRY', fromInteger(1)],
  ['USDT', fromInteger(48)],
]);

/** A maker whose author normalised with the last price of the whole data set: it quotes wider before a rise. */
const cheat = (tape: MarketTape): StrategyDefinition => ({
  ...maker,
  create: parameters => {
    let last = 0;
    for (let event = 0; event < tape.length; event++)
      if ((tape.kinds[event] ?? 0) >= 2) last = tape.numbers[tape.offsets[event] ?? 0] ?? last;
    return maker.create({ ...parameters, minHalfSpreadBps: 1 + (last % 7) });
  },
});

describe('the look-ahead check', function () {
  this.timeout(60_000);
  let market: GeneratedMarket;
  before(async () => {
    market = await generatedMarket(40, 3);
  });
  after(() => market.remove());

  const checked = (definitionOn: (tape: MarketTape) => StrategyDefinition) => {
    const runOn = (tape: MarketTape) =>
      runFast({ ...studyOf(definitionOn(tape), tape), fillModel: 'queue', tryRates: RATES });
    return checkLookahead(runOn(market.tape), untilMs => runOn(tapeUntil(market.tape, untilMs)), 4);
  };

  it('finds nothing in a strategy that only sees what has happened', () => {
    const result = checked(() => maker);
    expect(result.findings).to.deep.equal([]);
    expect(result.cuts).to.have.length(4);
    expect(result.compared).to.be.greaterThan(20);
  });

  it('catches one that knows the end, and says what it decided otherwise', () => {
    const { findings } = checked(cheat);
    expect(findings.length).to.be.greaterThan(0);
    expect(findings[0]?.whole).to.match(/(buy|sell) [\d.]+ BTCUSDT at/);
    expect(findings[0]?.whole).to.not.equal(findings[0]?.cut);
  });
});
