import { expect } from 'chai';
import { createEnding, type EndSignal } from '#src/btcturk/ending.js';

describe('an ending', () => {
  const makes: Readonly<Record<string, () => { readonly signal: EndSignal; abort(): void }>> = {
    'made lightly': createEnding,
    'as the platform makes it': () => new AbortController(),
  };
  for (const [how, make] of Object.entries(makes))
    it(`tells each listener once, and nobody who has left, ${how}`, () => {
      const ending = make();
      const { signal } = ending;
      const told: string[] = [];
      const leaves = (): void => void told.push('leaves');
      signal.addEventListener('abort', () => void told.push('first'), { once: true });
      signal.addEventListener('abort', leaves, { once: true });
      signal.addEventListener('abort', () => void told.push('last'), { once: true });
      signal.removeEventListener('abort', leaves);
      expect(signal.aborted).to.equal(false);
      ending.abort();
      expect(signal.aborted).to.equal(true);
      ending.abort();
      expect(told).to.deep.equal(['first', 'last']);
    });

  it('gives its reason as text', () => {
    expect(createEnding().signal.reason).to.equal('aborted');
  });
});
