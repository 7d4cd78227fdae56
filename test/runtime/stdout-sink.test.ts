import { EventEmitter } from 'node:events';
import { expect } from 'chai';
import { type SinonFakeTimers, useFakeTimers } from 'sinon';
import { streamSink, type WaitingStream } from '#src/runtime/stdout-sink.js';

/** A reader that takes texts when it is told to, or never. */
class SlowReader extends EventEmitter implements WaitingStream {
  readonly taken: string[] = [];
  private readonly waiting: { readonly text: string; readonly done: () => void }[] = [];
  writableLength = 0;

  write(text: string, done: () => void): void {
    this.waiting.push({ text, done });
    this.writableLength += text.length;
  }

  take(): void {
    for (const { text, done } of this.waiting.splice(0)) {
      this.taken.push(text);
      this.writableLength -= text.length;
      done();
    }
  }
}

describe('standard output', () => {
  let clock: SinonFakeTimers;
  beforeEach(() => {
    clock = useFakeTimers();
  });
  afterEach(() => {
    clock.restore();
  });

  it('drops and counts what a stopped reader leaves no room for, and never grows', () => {
    const reader = new SlowReader();
    const sink = streamSink(reader, 1_000);
    for (let count = 0; count < 10_000; count++) sink.write('x'.repeat(100));
    expect(reader.writableLength).to.equal(1_000);
    expect(sink.dropped).to.equal(9_990);
  });

  it('goes on when the reader does', () => {
    const reader = new SlowReader();
    const sink = streamSink(reader, 10);
    expect([sink.write('12345678'), sink.write('12345678')]).to.deep.equal([true, false]);
    reader.take();
    expect(sink.write('again')).to.equal(true);
    reader.take();
    expect(reader.taken).to.deep.equal(['12345678', 'again']);
  });

  it('is flushed when everything has been taken', async () => {
    const reader = new SlowReader();
    const sink = streamSink(reader, 100);
    await sink.flush(10_000);
    sink.write('a');
    sink.write('b');
    const flushed = sink.flush(10_000);
    reader.take();
    await flushed;
    expect(reader.taken).to.deep.equal(['a', 'b']);
    expect(clock.countTimers(), 'nothing keeps the process').to.equal(0);
  });

  it('does not wait for a reader that is gone', async () => {
    const reader = new SlowReader();
    const sink = streamSink(reader, 100);
    sink.write('a');
    const flushed = sink.flush(10_000);
    reader.emit('error', new Error('EPIPE'));
    await flushed;
    expect(sink.write('b')).to.equal(false);
    expect(sink.dropped).to.equal(1);
  });

  it('does not wait longer than it was told to', async () => {
    const reader = new SlowReader();
    const sink = streamSink(reader, 100);
    sink.write('a');
    let over = false;
    const flushed = sink.flush(2_000).then(() => {
      over = true;
    });
    await clock.tickAsync(1_999);
    expect(over).to.equal(false);
    clock.tick(1);
    await flushed;
    expect(reader.taken).to.deep.equal([]);
  });
});
