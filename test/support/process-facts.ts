/** What the system tells of a running process: by Linux's own files, and by `ps` where there are none. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** One of Linux's files about a process; null on other systems, and when the process is gone. */
const fileOf = (pid: number, name: string): string | null => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return null;
  }
};

const psOf = (pid: number, options: readonly string[]): string =>
  spawnSync('ps', [...options, '-p', `${pid}`], { encoding: 'latin1' }).stdout ?? '';

/** Resident memory, MB; null for a process that is gone. */
export const residentMbOf = (pid: number): number | null => {
  const kb =
    /^VmRSS:\s+(\d+) kB$/m.exec(fileOf(pid, 'status') ?? '')?.[1] ??
    /^\s*(\d+)\s*$/.exec(psOf(pid, ['-o', 'rss=']))?.[1];
  return kb === undefined ? null : Number(kb) / 1_024;
};

/** What everybody on the machine may see of a process, and its owner: the command line, and the environment with it. */
export const shownOf = (pid: number): [place: string, text: string][] => {
  const files = ['cmdline', 'environ'].flatMap((name): [string, string][] => {
    const text = fileOf(pid, name);
    return text === null ? [] : [[`/proc/<pid>/${name}`, text]];
  });
  if (files.length > 0) return files;
  const shown = psOf(pid, ['eww', '-o', 'command=']);
  if (shown === '') throw new Error(`neither /proc nor ps tells anything of process ${pid}`);
  return [['ps eww', shown]];
};

/** The packages whose native addons a process has loaded; null where the system keeps no list of what it has mapped. */
export const addonsOf = (pid: number): string[] | null => {
  const maps = fileOf(pid, 'maps');
  if (maps === null) return null;
  return [
    ...new Set([...maps.matchAll(/node_modules\/([^/\s]+)\S*\.node$/gm)].map(([, name]) => name ?? '')),
  ];
};
