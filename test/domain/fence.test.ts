import { expect } from 'chai';
import { checkFence, FENCE_REASONS, type FenceInput, type FenceReason } from '#src/domain/fence.js';
import { parseDecimal } from '#src/domain/money.js';
import type { ControlState, TradingState } from '#src/domain/safety.js';
import type { VenueWrite } from '#src/domain/venue-port.js';

const control = (over: Partial<ControlState> = {}): ControlState => ({
  type: 'control-state',
  epoch: 7,
  mode: 'live',
  state: 'live',
  mayObserve: true,
  maySubmit: true,
  mayCancel: true,
  blockedSymbols: [],
  pull: 'none',
  holds: [],
  reasons: [],
  ...over,
});

const submit: VenueWrite = {
  type: 'submit',
  clientOrderId: 'bb-a-1-s-1',
  terms: {
    symbol: 'BTCTRY',
    side: 'buy',
    method: 'limit',
    price: parseDecimal('100'),
    quantity: parseDecimal('1'),
    quoteQuantity: null,
    stopPrice: null,
  },
};
const cancel: VenueWrite = { type: 'cancel', clientOrderId: 'bb-a-1-s-1', venueOrderId: '9' };

const input = (over: Partial<FenceInput> = {}): FenceInput => ({
  now: { monoMs: 1_000, wallMs: 0 },
  control: control(),
  leaseUntilMonoMs: 1_500,
  approval: { epoch: 7, validUntilMonoMs: 1_200, journaled: true, origin: 'strategy' },
  write: submit,
  ...over,
});
const approval = (over: Partial<FenceInput['approval']>): FenceInput['approval'] => ({
  ...input().approval,
  ...over,
});

describe('fence', () => {
  const rows: readonly (readonly [string, Partial<FenceInput>, FenceReason | null])[] = [
    ['a submit with everything in order leaves', {}, null],
    ['nothing leaves before the first control state', { control: null }, 'no-control-state'],
    ['nothing leaves at the end of the lease', { leaseUntilMonoMs: 1_000 }, 'lease-expired'],
    ['nothing leaves after the lease', { leaseUntilMonoMs: 999 }, 'lease-expired'],
    ['nothing leaves under a lease that is not a number', { leaseUntilMonoMs: Number.NaN }, 'lease-expired'],
    ['a submit needs the right to submit', { control: control({ maySubmit: false }) }, 'submit-forbidden'],
    ['a blocked symbol stays', { control: control({ blockedSymbols: ['BTCTRY'] }) }, 'symbol-blocked'],
    ['another blocked symbol does not matter', { control: control({ blockedSymbols: ['ETHTRY'] }) }, null],
    ['a change of control since the approval refuses', { control: control({ epoch: 8 }) }, 'epoch-changed'],
    ['an approval from the future refuses', { approval: approval({ epoch: 8 }) }, 'epoch-changed'],
    ['an intent that is not on disk stays', { approval: approval({ journaled: false }) }, 'not-journaled'],
    ['a decision at its end still leaves', { approval: approval({ validUntilMonoMs: 1_000 }) }, null],
    ['an old decision stays', { approval: approval({ validUntilMonoMs: 999.9 }) }, 'decision-expired'],
    [
      'a decision without a valid time stays',
      { approval: approval({ validUntilMonoMs: Number.NaN }) },
      'decision-expired',
    ],
    ['a cancel leaves', { write: cancel }, null],
    ['a cancel needs the lease, too', { write: cancel, leaseUntilMonoMs: 1_000 }, 'lease-expired'],
    ['a cancel does not mind a new epoch', { write: cancel, control: control({ epoch: 8 }) }, null],
    [
      'a cancel needs the right to cancel',
      { write: cancel, control: control({ mayCancel: false }) },
      'cancel-forbidden',
    ],
    [
      'a cancel on a blocked symbol leaves',
      { write: cancel, control: control({ blockedSymbols: ['BTCTRY'] }) },
      null,
    ],
  ];
  for (const [title, over, reason] of rows)
    it(title, () => {
      expect(checkFence(input(over))).to.equal(reason);
    });

  const states: readonly (readonly [TradingState, boolean, boolean, boolean])[] = [
    // state, submit, strategy's cancel, operator's cancel, with both flags up
    ['observe-only', false, false, false],
    ['killed', false, false, true],
    ['dry-run', true, true, true],
    ['cancel-only', false, true, true],
    ['paused', false, true, true],
    ['live', true, true, true],
  ];
  for (const [state, maySubmit, strategyCancels, operatorCancels] of states)
    it(`in state ${state} the flags alone open nothing that the state forbids`, () => {
      const at = { control: control({ state }) };
      expect(checkFence(input(at)) === null).to.equal(maySubmit);
      expect(checkFence(input({ ...at, write: cancel })) === null).to.equal(strategyCancels);
      expect(
        checkFence(input({ ...at, write: cancel, approval: approval({ origin: 'operator' }) })) === null,
      ).to.equal(operatorCancels);
    });

  it('names the strictest reason when several apply', () => {
    const everything = {
      control: control({ epoch: 9, maySubmit: false, blockedSymbols: ['BTCTRY'] }),
      leaseUntilMonoMs: 0,
      approval: approval({ journaled: false, validUntilMonoMs: 0 }),
    };
    expect(checkFence(input(everything))).to.equal('lease-expired');
    expect(checkFence(input({ ...everything, leaseUntilMonoMs: 2_000 }))).to.equal('submit-forbidden');
  });

  it('gives the reasons in the order of its list, as one after the other goes away', () => {
    const wrong: Partial<FenceInput> = { control: null, leaseUntilMonoMs: 0 };
    const late = { journaled: false, validUntilMonoMs: 0 };
    const inTurn: readonly Partial<FenceInput>[] = [
      wrong,
      { control: control({ maySubmit: false }), leaseUntilMonoMs: 0 },
      { control: control({ maySubmit: false, blockedSymbols: ['BTCTRY'] }) },
      { control: control({ mayCancel: false }), write: cancel },
      { control: control({ epoch: 9, blockedSymbols: ['BTCTRY'] }), approval: approval(late) },
      { control: control({ epoch: 9 }), approval: approval(late) },
      { approval: approval(late) },
      { approval: approval({ validUntilMonoMs: 0 }) },
    ];
    expect(inTurn.map(over => checkFence(input(over)))).to.deep.equal([...FENCE_REASONS]);
  });
});
