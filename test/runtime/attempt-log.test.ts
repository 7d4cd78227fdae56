import { expect } from 'chai';
import { ATTEMPTS_PER_ADDRESS } from '#src/domain/reconnect.js';
import { ATTEMPT_LOG_BYTES, openAttemptLog } from '#src/runtime/attempt-log.js';

describe('the log of connection attempts', () => {
  it('shows a successor the newest attempts of all incarnations before it, oldest first', () => {
    const scratch = new SharedArrayBuffer(ATTEMPT_LOG_BYTES);
    openAttemptLog(scratch).note(5);
    const second = openAttemptLog(scratch);
    expect(second.attempts()).to.deep.equal([5]);
    for (let atMs = 6; atMs < 30; atMs++) second.note(atMs);
    expect(openAttemptLog(scratch).attempts()).to.deep.equal(
      Array.from({ length: ATTEMPTS_PER_ADDRESS }, (_, index) => 30 - ATTEMPTS_PER_ADDRESS + index),
    );
  });

  it('is empty where there was no incarnation before, and after it was told to forget', () => {
    expect(openAttemptLog(undefined).attempts()).to.deep.equal([]);
    const log = openAttemptLog(new SharedArrayBuffer(ATTEMPT_LOG_BYTES));
    log.note(1);
    log.forget();
    expect(log.attempts()).to.deep.equal([]);
  });
});
