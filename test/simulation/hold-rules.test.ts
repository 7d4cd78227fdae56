import { expect } from 'chai';
import { clearHold, placeHold } from '#src/domain/hold-set.js';
import type { HoldCause } from '#src/domain/safety.js';
import { initialSupervisor, type SupervisorInput, type SupervisorState } from '#src/domain/supervisor.js';
import { CRASH_LIMIT } from '#src/runtime/limits.js';
import { createHoldRules } from '#src/simulation/hold-rules.js';

class Broken extends Error {}

const begin = () => {
  const state: SupervisorState = initialSupervisor({
    children: [
      {
        actor: 'strategy',
        readyWithinMs: 1_000,
        stopWithinMs: 1_000,
        restartsWith: [],
        holdWhileDown: null,
        terminable: true,
        recoversAccount: false,
        signs: false,
        expendable: false,
      },
    ],
    limits: {
      beatLateMs: 1_500,
      beatLostMs: 3_000,
      leaseRenewMs: 200,
      leaseLifeMs: 1_000,
      stopTotalMs: 8_000,
      crashLimit: CRASH_LIMIT,
      crashWindowMs: 30_000,
    },
    mode: 'paper',
    flags: { safeMode: false, killSwitch: false, dryRun: false },
    modeReasons: [],
    symbols: [],
    shutdownOpenOrders: 'leave',
    restoredHolds: [],
    acknowledgement: 'yes',
  });
  const rules = createHoldRules(words => {
    throw new Broken(words);
  });
  rules.onBoot([], state);
  const place = (cause: HoldCause, subject = ''): void => {
    placeHold(state.holds, cause, subject, 'why', 'market-data', 0);
    rules.onStep({ type: 'tick' }, state, 1_000);
  };
  const end = (key: string, input: SupervisorInput, monoMs = 1_000): void => {
    state.holds.open.delete(key);
    rules.onStep(input, state, monoMs);
  };
  return { state, rules, place, end };
};

const cleared = (holdCause: HoldCause, subject = ''): SupervisorInput => ({
  type: 'hold-cleared',
  actor: 'market-data',
  holdCause,
  subject,
  detail: '',
  cause: '',
});
const released = (key: string): SupervisorInput => ({
  type: 'command',
  request: 1,
  command: { type: 'safe-mode-off', acknowledgement: 'yes', key },
});
const exited: SupervisorInput = {
  type: 'worker-exited',
  actor: 'strategy',
  incarnation: 1,
  code: 1,
  error: 'it crashed',
};

describe('the rules of holds', () => {
  it('let each hold end by whoever may end it', () => {
    const { state, place, end } = begin();
    place('operator');
    end('operator', released('operator'));
    place('unknown-outcome', 'BTCTRY');
    end('unknown-outcome:BTCTRY', cleared('unknown-outcome', 'BTCTRY'));
    place('stale-data', 'BTCTRY');
    clearHold(state.holds, 'stale-data', 'BTCTRY', 1_000);
    end('unrelated', { type: 'tick' });
    end('stale-data:BTCTRY', { type: 'tick' }, 3_000);
  });

  it('notice one that ends beside the one that was meant', () => {
    const { place, end } = begin();
    place('operator');
    place('unknown-outcome', 'ETHTRY');
    expect(() => end('unknown-outcome:ETHTRY', cleared('unknown-outcome', 'BTCTRY'))).to.throw(Broken);
    expect(() => end('operator', released('unknown-outcome:ETHTRY'))).to.throw(Broken, 'operator ended');
  });

  it('notice a trial that ends before its time', () => {
    const { state, place, end } = begin();
    place('stale-data', 'BTCTRY');
    clearHold(state.holds, 'stale-data', 'BTCTRY', 1_000);
    end('unrelated', { type: 'tick' });
    expect(() => end('stale-data:BTCTRY', { type: 'tick' }, 2_999)).to.throw(Broken);
  });

  it('notice one that was asked for and does not stand', () => {
    const { state, rules } = begin();
    const wanted = { ...cleared('auth'), type: 'hold-wanted' } as SupervisorInput;
    expect(() => rules.onStep(wanted, state, 1_000)).to.throw(Broken, 'auth was asked for');
  });

  it('notice a latch that a restart forgot', () => {
    const { state, rules } = begin();
    const hold = { key: 'operator', cause: 'operator', subject: '', detail: '', placedAtMs: 0 } as const;
    expect(() => rules.onBoot([hold], state)).to.throw(Broken, 'did not survive');
  });

  it('notice a worker that is started again after too many crashes', () => {
    const { state, rules } = begin();
    for (let crash = 1; crash < CRASH_LIMIT; crash++) rules.onStep(exited, state, crash * 1_000);
    expect(() => rules.onStep(exited, state, CRASH_LIMIT * 1_000)).to.throw(Broken, 'not given up');
    const drained = begin();
    const [child] = drained.state.children;
    if (child === undefined) throw new Error('there is no worker');
    child.status = 'draining';
    // It was told to stop and breaks on the way: no crash of its own.
    for (let crash = 1; crash <= CRASH_LIMIT; crash++) {
      drained.rules.onStep({ type: 'tick' }, drained.state, crash * 1_000 - 1);
      drained.rules.onStep(exited, drained.state, crash * 1_000);
    }
    const again = begin();
    for (let crash = 1; crash <= CRASH_LIMIT; crash++) again.rules.onStep(exited, again.state, crash * 8_000);
  });
});
