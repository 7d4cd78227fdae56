import { openRecording, type RecordedEntry } from '../exchange/recording.js';
import type { WorldRecording } from './world.js';

/**
 * Reads a recording whole, for a world to play.
 * @throws Error (or RecordingError) when it cannot be read, or is damaged: a simulation plays all of it or nothing
 */
export const loadRecording = async (path: string): Promise<WorldRecording> => {
  const { listings, items } = await openRecording(path);
  const entries: RecordedEntry[] = [];
  for await (const item of items) {
    if (item.type === 'damage') throw new Error(`recording ${path}: ${item.reason} (line ${item.line})`);
    if (item.type === 'entry') entries.push(item.entry);
  }
  return { listings, entries };
};
