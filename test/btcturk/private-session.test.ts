import { expect } from 'chai';
import type { PrivateFrame } from '#src/btcturk/private-frames.js';
import {
  INSERTED_DEADLINE_MS,
  initialPrivateSession,
  LOGIN_DEADLINE_MS,
  OPEN_DEADLINE_MS,
  type PrivateSession,
  type PrivateSessionEffect,
  type PrivateSessionInput,
  privateFeedState,
  REFUSALS_MAX,
  SILENCE_MAX_MS,
  stepPrivateSession,
} from '#src/btcturk/private-session.js';

const VERSION: PrivateFrame = { type: 'version' };
const LOGGED_IN: PrivateFrame = { type: 'login-result', ok: true, message: '', userId: '700123' };
const REFUSED: PrivateFrame = {
  type: 'login-result',
  ok: false,
  message: 'Unauthorized - Invalid Nonce',
  userId: null,
};
const inserted = (clientOrderId: string): PrivateFrame => ({
  type: 'event',
  event: { type: 'order-inserted', venueOrderId: '1', clientOrderId },
});

/** A session under a clock of the test's own. */
const run = () => {
  let session: PrivateSession = initialPrivateSession({ seed: 7 }, 0);
  let monoMs = 0;
  const step = (input: PrivateSessionInput): readonly PrivateSessionEffect[] => {
    const stepped = stepPrivateSession(session, input, { monoMs, wallMs: 0 });
    session = stepped.state;
    return stepped.effects;
  };
  const self = {
    step,
    frame: (frame: PrivateFrame) => step({ type: 'frame', frame }),
    /** Ticks through `ms`, and returns all effects on the way. */
    wait: (ms: number): PrivateSessionEffect[] => {
      const effects: PrivateSessionEffect[] = [];
      for (const end = monoMs + ms; monoMs < end; ) {
        monoMs = Math.min(end, monoMs + 50);
        effects.push(...step({ type: 'tick' }));
      }
      return effects;
    },
    goLive: () => void self.logIn(LOGGED_IN),
    /** Waits for the next attempt, and has the login answered. @returns what follows from the answer */
    logIn: (answer: PrivateFrame) => {
      const giveUpAt = monoMs + 4 * 3_600_000;
      while (privateFeedState(session) !== 'connecting' && monoMs < giveUpAt) self.wait(50);
      expect(privateFeedState(session)).to.equal('connecting');
      step({ type: 'opened' });
      self.frame(VERSION);
      return self.frame(answer);
    },
    get state() {
      return privateFeedState(session);
    },
    get monoMs() {
      return monoMs;
    },
  };
  return self;
};
/** The venue's bound on attempts, in any minute. */
const expectPaced = (attempts: readonly number[]): void => {
  for (const at of attempts)
    expect(attempts.filter(other => other >= at && other < at + 60_000).length).to.be.at.most(4);
};
const types = (effects: readonly PrivateSessionEffect[]): readonly string[] =>
  effects.map(({ type }) => type);

describe('private session', () => {
  it('connects, waits for the version notice, logs in and is live', () => {
    const it = run();
    expect(it.state).to.equal('disconnected');
    expect(types(it.step({ type: 'tick' }))).to.deep.equal(['state', 'connect']);
    expect(it.step({ type: 'opened' })).to.deep.equal([]);
    expect(it.state).to.equal('connecting');
    expect(types(it.frame(VERSION))).to.deep.equal(['send-login', 'state']);
    expect(it.state).to.equal('logging-in');
    it.frame(LOGGED_IN);
    expect(it.state).to.equal('live');
  });

  for (const [title, prepare, waitMs] of [
    ['no handshake comes', () => {}, OPEN_DEADLINE_MS],
    ['no version notice comes', (s: ReturnType<typeof run>) => s.step({ type: 'opened' }), OPEN_DEADLINE_MS],
    [
      'no answer to the login comes',
      (s: ReturnType<typeof run>) => {
        s.step({ type: 'opened' });
        s.frame(VERSION);
      },
      LOGIN_DEADLINE_MS,
    ],
    [
      'nothing is heard',
      (s: ReturnType<typeof run>) => {
        s.step({ type: 'opened' });
        s.frame(VERSION);
        s.frame(LOGGED_IN);
      },
      SILENCE_MAX_MS,
    ],
  ] as const) {
    it(`drops the socket and comes back when ${title}`, () => {
      const it = run();
      it.step({ type: 'tick' });
      prepare(it);
      const effects = it.wait(waitMs + 50);
      expect(types(effects).slice(0, 2)).to.deep.equal(['disconnect', 'state']);
      it.goLive();
      expect(it.state).to.equal('live');
    });
  }

  it('stays connected to a quiet socket that pings', () => {
    const it = run();
    it.goLive();
    for (let count = 0; count < 20; count++) {
      it.step({ type: 'pinged' });
      expect(it.wait(15_000)).to.deep.equal([]);
    }
  });

  it('replaces a socket that is mute after a confirmed submit', () => {
    const it = run();
    it.goLive();
    it.step({ type: 'expect-inserted', clientOrderId: 'a', sentAtMonoMs: it.monoMs });
    const effects = it.wait(INSERTED_DEADLINE_MS);
    expect(effects[0]).to.deep.include({ type: 'disconnect' });
    expect(it.state).to.equal('disconnected');
    it.goLive();
    expect(it.wait(INSERTED_DEADLINE_MS * 2)).to.deep.equal([]);
  });

  it('replaces the socket when asked to, after the usual wait, and not more often than ever', () => {
    const it = run();
    const attempts: number[] = [];
    for (let count = 0; count < 12; count++) {
      it.goLive();
      attempts.push(it.monoMs);
      expect(types(it.step({ type: 'reconnect', reason: 'a fill was missing' }))).to.deep.equal([
        'disconnect',
        'state',
      ]);
      expect(it.step({ type: 'reconnect', reason: 'again' })).to.deep.equal([]);
    }
    expectPaced(attempts);
  });

  it('waits its turn after a restart', () => {
    const session = initialPrivateSession({ seed: 7, forgottenAttempts: 4 }, 0);
    const stepped = (monoMs: number) => stepPrivateSession(session, { type: 'tick' }, { monoMs, wallMs: 0 });
    expect(stepped(59_000).effects).to.deep.equal([]);
    expect(types(stepped(60_100).effects)).to.deep.equal(['state', 'connect']);
  });

  it('is content with a 451 before or after the reply to the submit', () => {
    const it = run();
    it.goLive();
    it.frame(inserted('early'));
    it.step({ type: 'expect-inserted', clientOrderId: 'early', sentAtMonoMs: it.monoMs });
    it.step({ type: 'expect-inserted', clientOrderId: 'late', sentAtMonoMs: it.monoMs });
    it.wait(INSERTED_DEADLINE_MS - 100);
    it.frame(inserted('late'));
    expect(it.wait(10_000)).to.deep.equal([]);
  });

  it('does not take a fill for a sign that the order channels speak', () => {
    const it = run();
    it.goLive();
    it.step({ type: 'expect-inserted', clientOrderId: 'a', sentAtMonoMs: it.monoMs });
    it.frame({ type: 'event', event: { type: 'balance-hint' } });
    expect(types(it.wait(INSERTED_DEADLINE_MS))).to.include('disconnect');
  });

  it('does not expect the insert of an order sent before it was live', () => {
    const it = run();
    it.goLive();
    it.step({ type: 'expect-inserted', clientOrderId: 'a', sentAtMonoMs: -1 });
    expect(it.wait(INSERTED_DEADLINE_MS * 2)).to.deep.equal([]);
  });

  it('does not hammer after a refused login: each wait is longer, and the eighth refusal is the last', () => {
    const it = run();
    const waits: number[] = [];
    for (let refusal = 1; refusal <= REFUSALS_MAX; refusal++) {
      const since = it.monoMs;
      const effects = it.logIn(REFUSED);
      waits.push(it.monoMs - since);
      expect(types(effects)).to.deep.equal(['disconnect', 'state']);
      expect(it.state).to.equal('refused');
    }
    expect(waits[1]).to.be.at.least(60_000);
    for (let at = 2; at < waits.length; at++) expect(waits[at]).to.be.greaterThan((waits[at - 1] ?? 0) * 1.3);
    expect(it.wait(4 * 3_600_000)).to.deep.equal([]);
    expect(it.state).to.equal('refused');
  });

  it('logs in anew when asked to, also after the eighth refusal, and waits as after a loss', () => {
    for (const refusals of [1, REFUSALS_MAX]) {
      const it = run();
      for (let refusal = 1; refusal <= refusals; refusal++) it.logIn(REFUSED);
      expect(it.state).to.equal('refused');
      expect(it.step({ type: 'reconnect', reason: 'the key was rotated' })).to.deep.equal([
        { type: 'state', state: 'disconnected', detail: 'the key was rotated' },
      ]);
      const since = it.monoMs;
      it.goLive();
      expect(it.state).to.equal('live');
      expect(it.monoMs - since).to.be.at.most(60_100);
    }
  });

  it('tries a refused login again, from the first wait on, once somebody has mended what was refused', () => {
    const it = run();
    for (let refusal = 1; refusal <= REFUSALS_MAX; refusal++) it.logIn(REFUSED);
    it.step({ type: 'reconnect', reason: 'the key was rotated' });
    const since = it.monoMs;
    it.logIn(REFUSED);
    expect(it.monoMs - since, 'at once').to.be.at.most(100);
    const mended = it.monoMs;
    it.goLive();
    expect(it.monoMs - mended, 'the first wait again').to.be.within(60_000, 91_000);
    expect(it.state).to.equal('live');
  });

  it('makes no more attempts than ever, however often what was refused is said to be mended', () => {
    const it = run();
    const attempts: number[] = [];
    while (it.monoMs < 300_000) {
      if (it.wait(50).some(({ type }) => type === 'connect')) {
        attempts.push(it.monoMs);
        it.step({ type: 'opened' });
        it.frame(VERSION);
        it.frame(REFUSED);
      }
      it.step({ type: 'reconnect', reason: 'again' });
    }
    expect(attempts.length).to.be.greaterThan(10);
    expectPaced(attempts);
  });

  it('asks for a look at the account when it cannot read a frame', () => {
    const it = run();
    it.goLive();
    expect(it.frame({ type: 'malformed', model: 423, problem: 'x' })).to.deep.equal([
      { type: 'problem', problem: 'x' },
      { type: 'event', event: { type: 'balance-hint' } },
    ]);
  });

  it('passes events on in their order, also before the login is answered, and none after the socket is gone', () => {
    const it = run();
    it.goLive();
    expect(types(it.frame(inserted('a')))).to.deep.equal(['event']);
    it.step({ type: 'closed', detail: 'closed with code 1006' });
    expect(it.frame(inserted('b'))).to.deep.equal([]);
  });

  it('never makes more than 4 attempts in any minute, however the venue behaves', () => {
    const it = run();
    const attempts: number[] = [];
    while (it.monoMs < 600_000) {
      if (it.wait(50).some(({ type }) => type === 'connect')) {
        attempts.push(it.monoMs);
        it.step({ type: 'opened' });
        it.step({ type: 'closed', detail: 'closed with code 1000' });
      }
    }
    expect(attempts.length).to.be.greaterThan(5);
    expectPaced(attempts);
  });
});
