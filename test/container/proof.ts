/** What an assembled image must do: start, trade on paper, say that it is well, and end with 0 at SIGTERM. */
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Image, runImage } from './image.js';

/** What was found wrong; empty when nothing was. */
export const tryImage = async (
  image: Image,
  volume: string,
  underInit: boolean,
): Promise<readonly string[]> => {
  const wrong: string[] = [];
  const must = (holds: boolean, words: string): void => {
    if (!holds) wrong.push(words);
  };
  mkdirSync(volume, { recursive: true });
  chownSync(volume, 1000, 1000);
  const running = runImage(image, volume, { VENUE: 'paper', STRATEGY: 'maker' }, underInit);
  try {
    await running.until('"event":"order-working"');
    const health = running.exec(image.healthcheck);
    must(health.status === 0, `the health check ended with ${health.status}: ${health.text}`);
    const who = running
      .exec(['sh', '-c', 'id -u; grep CapEff /proc/self/status; cat /proc/1/comm'])
      .text.split('\n');
    must(who[0] === '1000', `it runs as user ${who[0]}`);
    must(/CapEff:\s0+$/.test(who[1] ?? ''), `it has capabilities: ${who[1]}`);
    must((who[2] === 'sh') === underInit, `PID 1 is ${who[2]}`);
    for (const place of ['/app/x', '/app/dist/x', '/x', '/etc/x', '/home/node/x'])
      must(running.exec(['touch', place]).status !== 0, `${place} could be written`);
    for (const place of ['/data/x', '/tmp/x'])
      must(running.exec(['touch', place]).status === 0, `${place} could not be written`);
    running.stop();
    const code = await running.ended;
    must(code === 0, `SIGTERM ended it with ${code}: ${running.text().slice(-2_000)}`);
    must(running.text().includes('"event":"closing-summary"'), 'it did not take its leave');
    must(
      readFileSync(join(volume, 'btcbot.sqlite')).subarray(0, 15).toString() === 'SQLite format 3',
      'the ledger is not on the volume',
    );
  } finally {
    running.kill();
    await running.ended;
  }
  return wrong;
};
