/** Every part of the fault suite, in the order of the document. */
import { alerts } from './alerts.js';
import { arming } from './arming.js';
import { crashes } from './crashes.js';
import { disk } from './disks.js';
import { freeze } from './freeze.js';
import { syncs } from './fsync.js';
import { killSwitch } from './kill-switch.js';
import { kills } from './kills.js';
import { nonsense } from './nonsense.js';
import type { FaultPart } from './part.js';
import { rates } from './rates.js';
import { reconnects } from './reconnects.js';
import { secrets } from './secrets.js';
import { signals } from './signals.js';
import { stop } from './stop.js';
import { storms } from './storms.js';
import { submits } from './submits.js';

export const PARTS: readonly FaultPart[] = [
  submits,
  kills,
  syncs,
  signals,
  freeze,
  crashes,
  storms,
  reconnects,
  nonsense,
  arming,
  killSwitch,
  disk,
  stop,
  rates,
  alerts,
  secrets,
];

/**
 * The parts named on a command line, in the order of the document; all of them when none is named.
 * @param names each may be several, joined with commas
 * @throws when there is no such part
 */
export const partsNamed = (names: readonly string[]): readonly FaultPart[] => {
  const wanted = names.flatMap(text => text.split(',')).filter(name => name !== '');
  const unknown = wanted.filter(name => PARTS.every(part => part.name !== name));
  if (unknown.length > 0)
    throw new Error(
      `no part is called ${unknown.join(' or ')}: there are ${PARTS.map(part => part.name).join(', ')}`,
    );
  return wanted.length === 0 ? PARTS : PARTS.filter(part => wanted.includes(part.name));
};
