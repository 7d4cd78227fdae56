/**
 * What a message says, as a number: equal for the same content, also when it is said again after a restart. So what
 * changes with each saying is left out: ids, causes, versions, and times.
 */

const SEED_A = 0x811c9dc5;
const SEED_B = 0x9e3779b9;
/** Leaves beyond this many are not looked at: a message is told from others by what it begins with. */
const LEAVES_MOST = 2_048;
const DEPTH_MOST = 8;

const LEFT_OUT = new Set(['id', 'cause', 'version', 'bookVersion', 'requestId', 'tookMs']);

interface Mixer {
  a: number;
  b: number;
  leaves: number;
}

const mix = (mixer: Mixer, value: number): void => {
  mixer.a = Math.imul(mixer.a ^ value, 0x01000193);
  mixer.b = Math.imul(mixer.b ^ ((value << 13) | (value >>> 19)), 0x85ebca6b) ^ (mixer.b >>> 15);
};

const mixText = (mixer: Mixer, text: string): void => {
  for (let index = 0; index < text.length; index++) mix(mixer, text.charCodeAt(index));
  mix(mixer, text.length);
};

const mixNumber = (mixer: Mixer, value: number): void => {
  mix(mixer, value | 0);
  mix(mixer, (value / 4_294_967_296) | 0);
  if (!Number.isInteger(value)) mixText(mixer, String(value));
};

const isLeftOut = (key: string): boolean => LEFT_OUT.has(key) || key.endsWith('Ms') || key.endsWith('At');

const walk = (mixer: Mixer, value: unknown, depth: number): void => {
  if (++mixer.leaves > LEAVES_MOST || depth > DEPTH_MOST) return;
  switch (typeof value) {
    case 'string':
      mixText(mixer, value);
      return;
    case 'number':
      mixNumber(mixer, value);
      return;
    case 'bigint':
      mixText(mixer, value.toString(36));
      return;
    case 'object':
      break;
    default:
      mix(mixer, value === true ? 1 : 2);
      return;
  }
  if (value === null) mix(mixer, 3);
  else if (value instanceof Float64Array)
    for (let index = 0; index < Math.min(value.length, LEAVES_MOST); index++)
      mixNumber(mixer, value[index] ?? 0);
  else if (Array.isArray(value)) for (const item of value) walk(mixer, item, depth + 1);
  else if (value instanceof Map)
    for (const [key, item] of value) {
      walk(mixer, key, depth + 1);
      walk(mixer, item, depth + 1);
    }
  else
    for (const [key, item] of Object.entries(value)) {
      if (isLeftOut(key)) continue;
      mixText(mixer, key);
      walk(mixer, item, depth + 1);
    }
};

/** Two 32-bit halves. Not for secrets: anybody can make two contents that meet. */
export const fingerprintOf = (message: unknown): readonly [number, number] => {
  const mixer: Mixer = { a: SEED_A, b: SEED_B, leaves: 0 };
  walk(mixer, message, 0);
  return [mixer.a >>> 0, mixer.b >>> 0];
};
