import { expect } from 'chai';
import { createNewcomers } from '#src/simulation/newcomers.js';

describe('newcomers of a growing map', () => {
  it('are told once each, also after a look that found none', () => {
    const newcomers = createNewcomers<string>();
    const map = new Map<number, string>();
    expect(newcomers(map)).to.deep.equal([]);
    for (let count = 1; count <= 100; count++) {
      map.set(count, `value ${count}`);
      if (count % 7 === 0) expect(newcomers(map)).to.have.length(7);
    }
    expect(newcomers(map)).to.deep.equal(['value 99', 'value 100']);
    expect(newcomers(map)).to.deep.equal([]);
  });

  it('begin anew with another map', () => {
    const newcomers = createNewcomers<string>();
    expect(newcomers(new Map([[1, 'a']]))).to.deep.equal(['a']);
    expect(newcomers(new Map([[2, 'b']]))).to.deep.equal(['b']);
  });
});
