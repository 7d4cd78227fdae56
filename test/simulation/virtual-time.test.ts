import { expect } from 'chai';
import fc from 'fast-check';
import { randomStream } from '#src/exchange/random.js';
import { createLink, drawLatency } from '#src/simulation/link.js';
import { createVirtualTime, START_MONO_MS } from '#src/simulation/virtual-time.js';

const START = 1_790_000_000_000;

describe('virtual time', () => {
  it('lets things happen at their times, and equals in the order they were asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 50 }), delays => {
        const time = createVirtualTime(START);
        const happened: [number, number][] = [];
        delays.forEach((delay, index) => {
          time.after(delay, 'thing', () => happened.push([time.now().monoMs - START_MONO_MS, index]));
        });
        while (time.next(Number.POSITIVE_INFINITY));
        const expected = delays
          .map((delay, index): [number, number] => [delay, index])
          .sort(([left, first], [right, second]) => left - right || first - second);
        expect(happened).to.deep.equal(expected);
      }),
    );
  });

  it('waits with what is later than asked for', () => {
    const time = createVirtualTime(START);
    time.after(100, 'thing', () => {});
    expect(time.next(START_MONO_MS + 99)).to.equal(false);
    expect(time.next(START_MONO_MS + 100)).to.equal(true);
    expect(time.count).to.equal(1);
  });

  it('never goes back: what is asked for in the past happens now', () => {
    const time = createVirtualTime(START);
    time.idleUntil(START_MONO_MS + 50);
    let at = 0;
    time.at(START_MONO_MS + 10, 'late', () => {
      at = time.now().monoMs;
    });
    time.next(Number.POSITIVE_INFINITY);
    expect(at).to.equal(START_MONO_MS + 50);
  });

  it('moves the wall clock without the monotonic one', () => {
    const time = createVirtualTime(START);
    time.jumpWall(-5_000);
    expect(time.now()).to.deep.equal({ monoMs: START_MONO_MS, wallMs: START - 5_000 });
  });

  it('idles no further than the next thing', () => {
    const time = createVirtualTime(START);
    time.after(10, 'thing', () => {});
    time.idleUntil(START_MONO_MS + 100);
    expect(time.now().monoMs).to.equal(START_MONO_MS + 10);
  });
});

describe('a link', () => {
  const latency = { leastMs: 1, meanExtraMs: 3 };

  it('keeps the order of what it carries, whatever each takes', () => {
    const time = createVirtualTime(START);
    const heard: number[] = [];
    const link = createLink<number>(time, 'link', latency, randomStream(7, 1), each => heard.push(each));
    for (let each = 0; each < 200; each++) {
      link.send(each);
      time.next(time.now().monoMs + 0.5);
    }
    while (time.next(Number.POSITIVE_INFINITY));
    expect(heard).to.deep.equal(Array.from({ length: 200 }, (_, each) => each));
  });

  it('delivers at once what is on its way when it is drained, and once only', () => {
    const time = createVirtualTime(START);
    const heard: string[] = [];
    const link = createLink<string>(time, 'link', latency, randomStream(7, 1), each => heard.push(each));
    link.send('a');
    link.send('b');
    link.drain();
    expect(heard).to.deep.equal(['a', 'b']);
    while (time.next(Number.POSITIVE_INFINITY));
    expect(heard).to.deep.equal(['a', 'b']);
  });

  it('loses what is on its way when it is cut', () => {
    const time = createVirtualTime(START);
    const heard: string[] = [];
    const link = createLink<string>(time, 'link', latency, randomStream(7, 1), each => heard.push(each));
    link.send('a');
    link.cut();
    link.send('b');
    while (time.next(Number.POSITIVE_INFINITY));
    expect(heard).to.deep.equal([]);
  });

  it('takes at least its least time, and about its mean', () => {
    const random = randomStream(7, 1);
    const drawn = Array.from({ length: 5_000 }, () => drawLatency(latency, random));
    expect(Math.min(...drawn)).to.be.at.least(1);
    expect(drawn.reduce((sum, each) => sum + each, 0) / drawn.length).to.be.within(3.8, 4.2);
  });
});
