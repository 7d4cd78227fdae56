import { alerts } from './alerts.js';
import { crashes } from './crashes.js';
import { disk } from './disks.js';
import { freeze } from './freeze.js';
import { killSwitch } from './kill-switch.js';
import { signals } from './signals.js';
import { testSmall } from './small-run.js';
import { stop } from './stop.js';

/** The first minutes of `npm run faults` (its storms alone take half a minute and stay there); the long run writes docs/RELIABILITY.md. */
describe('safety through real threads and sockets', () => {
  for (const part of [signals, freeze, crashes, killSwitch, disk, stop, alerts]) testSmall(part);
});
