import { expect } from 'chai';
import { statusText } from '#src/cli/status.js';

/** The status for people of one worker with these facts. */
const textOf = (worker: string, facts: Readonly<Record<string, unknown>>): string =>
  statusText({
    mode: 'paper',
    state: 'running',
    phase: 'running',
    maySubmit: true,
    mayCancel: true,
    symbols: ['BTCTRY'],
    startedAtMs: 0,
    reasons: [],
    holds: [],
    workers: {
      [worker]: { status: 'running', incarnation: 1, restarts: 0, beatAgeMs: 5, late: false, facts },
    },
  } as unknown as Parameters<typeof statusText>[0]);

/** The line of a strategy of these facts. */
const lineOf = (facts: Readonly<Record<string, unknown>>): string =>
  textOf('strategy', { strategy: 'trend', openOrders: 0, faults: 0, ...facts })
    .split('\n')
    .find(line => line.startsWith('trend')) ?? '';

describe('the status for people', () => {
  it('says what a strategy waits for while it warms up, and why one has stopped', () => {
    const warmUp = 'BTCTRY 1m: 0 of 3 candles';
    const history = "1 series wait for the venue's charts: the turn of the last comes in about 90 s";
    expect(lineOf({ state: 'warming up', reason: null, warmUp, history })).to.match(
      /BTCTRY 1m: 0 of 3 candles; 1 series wait .*about 90 s$/,
    );
    expect(lineOf({ state: 'warming up', reason: null, warmUp })).to.match(/0 of 3 candles$/);
    expect(lineOf({ state: 'stopped', reason: 'it threw' })).to.match(/ it threw$/);
    expect(lineOf({ state: 'running', reason: null })).to.match(/ -$/);
  });

  it('rounds what is a share, and never an amount', () => {
    const profitOf = (profit: object): string => textOf('reconciliation', { profit });
    expect(
      profitOf({ totalTry: '-1.3305366520720001', dayTry: '0', drawdownPct: 0.0001330536652072 }),
    ).to.contain('profit, lira: -1.3305366520720001 in all, 0 today; drawdown 0.0001 %');
    expect(profitOf({ totalTry: '0', dayTry: '0', drawdownPct: null })).to.contain('drawdown - %');
  });
});
