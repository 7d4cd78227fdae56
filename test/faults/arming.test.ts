import { arming } from './arming.js';
import { testSmall } from './small-run.js';

describe('arming through real threads and sockets', () => {
  testSmall(arming);
});
