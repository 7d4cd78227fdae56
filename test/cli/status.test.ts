import { expect } from 'chai';
import { statusText } from '#src/cli/status.js';
import type { SupervisorStatus } from '#src/domain/supervisor.js';

const statusWith = (profit: object): SupervisorStatus =>
  ({
    mode: 'paper',
    state: 'trading',
    phase: 'running',
    maySubmit: true,
    mayCancel: true,
    symbols: ['BTCTRY'],
    startedAtMs: 0,
    reasons: [],
    holds: [],
    workers: { reconciliation: { status: 'up', late: false, restarts: 0, beatAgeMs: 1, facts: { profit } } },
  }) as unknown as SupervisorStatus;

describe('the status for people', () => {
  it('rounds what is a share, and never an amount', () => {
    const text = statusText(
      statusWith({ totalTry: '-1.3305366520720001', dayTry: '0', drawdownPct: 0.0001330536652072 }),
    );
    expect(text).to.contain('profit, lira: -1.3305366520720001 in all, 0 today; drawdown 0.0001 %');
    expect(statusText(statusWith({ totalTry: '0', dayTry: '0', drawdownPct: null }))).to.contain(
      'drawdown - %',
    );
  });
});
