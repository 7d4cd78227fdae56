/**
 * The image's file system, assembled as the Dockerfile says and run without a container engine: a folder for each stage,
 * `chroot` in a mount namespace for its RUN lines, and for the run a read-only root with the image's user, no capability,
 * and only the volume and /tmp writable. What the base image would bring (a shell, libraries, Node, the user `node`) is
 * lent by this machine.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, posix } from 'node:path';
import { execForm, readDockerfile, type Stage } from './dockerfile.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');

export interface Image {
  readonly folder: string;
  readonly user: string;
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly healthcheck: readonly string[];
  readonly volumes: readonly string[];
}

/** What an instruction is replaced by: true when it is done. */
export type Substitute = (command: string, folder: string, workdir: string) => boolean;

/** Why nothing can be run here; null when it can. */
export const sandboxRefusal = (): string | null => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'it takes root on Linux to make namespaces';
  for (const program of ['unshare', 'nsenter', 'setpriv', 'chroot'])
    if (spawnSync(program, ['--version']).error !== undefined) return `${program} is absent`;
  const tried = spawnSync('unshare', ['-m', '-p', '-f', '--mount-proc', 'true'], { encoding: 'utf8' });
  return tried.status === 0 ? null : `namespaces are not permitted: ${tried.stderr.trim()}`;
};

const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n').filter(Boolean);
const isIgnored = (name: string): boolean =>
  ignored.some(pattern =>
    new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`).test(name),
  );

/** What the base image would bring: the places for it, and its users. */
const layBase = (folder: string): void => {
  for (const name of ['usr', 'proc', 'tmp', 'dev', 'etc/ssl', 'root', 'home/node'])
    mkdirSync(join(folder, name), { recursive: true });
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(folder, name));
  for (const name of ['null', 'zero', 'random', 'urandom']) writeFileSync(join(folder, 'dev', name), '');
  writeFileSync(
    join(folder, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n',
  );
  writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  for (const name of ['resolv.conf', 'hosts', 'nsswitch.conf'])
    writeFileSync(join(folder, 'etc', name), existsSync(`/etc/${name}`) ? readFileSync(`/etc/${name}`) : '');
};

/** Lends the machine's own programs and this Node to the root, in a mount namespace that ends with the command. */
const LEND = `
set -e
root=$1; node=$2; shift 2
mount --bind "$root" "$root"
mount --bind /usr "$root/usr" && mount -o remount,bind,ro "$root/usr"
mount --bind /etc/ssl "$root/etc/ssl" && mount -o remount,bind,ro "$root/etc/ssl"
mount -t tmpfs -o size=1m tmpfs "$root/usr/local/bin"
touch "$root/usr/local/bin/node" && mount --bind "$node" "$root/usr/local/bin/node"
for name in null zero random urandom; do mount --bind "/dev/$name" "$root/dev/$name"; done
`;

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const asWords = (env: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(env).map(([name, value]) => `${name}=${value}`);

/** What a build needs of this machine to reach its registry. */
const buildEnvironment = (): Record<string, string> => {
  const kept: Record<string, string> = { PATH, HOME: '/root' };
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && /_proxy$|^SSL_CERT|^NODE_EXTRA_CA/i.test(name)) kept[name] = value;
  return kept;
};

const runInStage = (
  folder: string,
  workdir: string,
  env: Readonly<Record<string, string>>,
  command: string,
): void => {
  const done = spawnSync(
    'unshare',
    [
      '-m',
      'sh',
      '-c',
      `${LEND}
mount -t proc proc "$root/proc"
exec chroot "$root" /usr/bin/env -i "$@"`,
      'sh',
      folder,
      process.execPath,
      ...asWords({ ...buildEnvironment(), ...env }),
      'sh',
      '-c',
      `cd ${workdir} && ${command}`,
    ],
    { encoding: 'utf8' },
  );
  if (done.status !== 0)
    throw new Error(`RUN ${command} ended with ${done.status}: ${done.stderr}${done.stdout}`);
};

interface Laid {
  readonly folder: string;
  user: string;
  workdir: string;
  env: Record<string, string>;
  entrypoint: readonly string[];
  healthcheck: readonly string[];
  volumes: string[];
}

const mustExec = (text: string, keyword: string): readonly string[] => {
  const words = execForm(text);
  if (words === null) throw new Error(`${keyword} is not in exec form: signals would reach a shell`);
  return words;
};

/**
 * Copies a file or a tree. `linked` shares the files where the disk is one: only for what nobody writes into, never for
 * the repository's own.
 */
export const copyTree = (from: string, to: string, linked: boolean): void => {
  for (const how of linked ? ['-al', '-a'] : ['-a'])
    if (spawnSync('cp', [how, '-T', from, to]).status === 0) return;
  throw new Error(`${from} cannot be copied to ${to}`);
};

const copy = (stage: Laid, laid: ReadonlyMap<string, Laid>, text: string): void => {
  const words = text.split(/\s+/);
  const from = words[0]?.startsWith('--from=') === true ? words.shift()?.slice('--from='.length) : undefined;
  const target = words.pop() ?? '';
  const inside = posix.join(isAbsolute(target) ? '/' : stage.workdir, target);
  const source = from === undefined ? null : laid.get(from);
  if (source === undefined) throw new Error(`COPY --from=${from}: there is no such stage`);
  for (const word of words) {
    if (source === null && isIgnored(word.split('/')[0] ?? ''))
      throw new Error(`COPY ${word}: .dockerignore leaves it out`);
    const path = source === null ? join(ROOT, word) : join(source.folder, word);
    const intoFolder = target.endsWith('/') || words.length > 1;
    const destination = join(stage.folder, intoFolder ? posix.join(inside, posix.basename(word)) : inside);
    mkdirSync(dirname(destination), { recursive: true });
    copyTree(path, destination, source !== null);
  }
};

const environmentOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split(/\s+/).map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );

/**
 * Does what the Dockerfile of the repository says, stage by stage, below `folder`.
 * @param substitute may do a RUN line's work in another way; without it every line is run as it stands
 */
export const assembleImage = (folder: string, substitute: Substitute = () => false): Image => {
  const laid = new Map<string, Laid>();
  let last: Laid | null = null;
  for (const [index, stage] of readDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).entries()) {
    last = layStage(join(folder, stage.name === '' ? `stage-${index}` : stage.name), stage, laid, substitute);
    laid.set(stage.name, last);
  }
  if (last === null) throw new Error('the Dockerfile has no stage');
  return last;
};

const layStage = (
  folder: string,
  { instructions }: Stage,
  laid: ReadonlyMap<string, Laid>,
  substitute: Substitute,
): Laid => {
  const stage: Laid = {
    folder,
    user: 'root',
    workdir: '/',
    env: {},
    entrypoint: [],
    healthcheck: [],
    volumes: [],
  };
  layBase(folder);
  for (const { keyword, text } of instructions)
    switch (keyword) {
      case 'WORKDIR':
        stage.workdir = text;
        mkdirSync(join(folder, text), { recursive: true });
        break;
      case 'COPY':
        copy(stage, laid, text);
        break;
      case 'RUN':
        if (!substitute(text, folder, stage.workdir)) runInStage(folder, stage.workdir, stage.env, text);
        break;
      case 'ENV':
        Object.assign(stage.env, environmentOf(text));
        break;
      case 'USER':
        stage.user = text;
        break;
      case 'VOLUME':
        stage.volumes.push(text);
        break;
      case 'ENTRYPOINT':
        stage.entrypoint = mustExec(text, 'ENTRYPOINT');
        break;
      case 'HEALTHCHECK':
        stage.healthcheck = mustExec(text.slice(text.indexOf('CMD ') + 4), 'HEALTHCHECK');
        break;
    }
  return stage;
};

const USER_IDS: Readonly<Record<string, string>> = { root: '0', node: '1000' };

/** As compose.yaml hardens it: the image's user, no capability, nothing to be gained by an exec. */
const asImageUser = (user: string): readonly string[] => {
  const id = USER_IDS[user] ?? user;
  return [
    'setpriv',
    `--reuid=${id}`,
    `--regid=${id}`,
    '--clear-groups',
    '--inh-caps=-all',
    '--bounding-set=-all',
    '--no-new-privs',
    '--',
  ];
};

/** The smallest init there is: it starts the program, hands SIGTERM on, and ends as the program does. */
const INIT =
  'trap \'kill -TERM "$child"\' TERM; "$@" & child=$!; while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done; exit $code';

export interface RunningImage {
  /** Standard output so far. */
  readonly text: () => string;
  /** Resolves when a line holds these words; rejects when the program ends without. */
  until(words: string): Promise<void>;
  /** Runs a command as the image's user inside the running container. */
  exec(command: readonly string[]): { readonly status: number | null; readonly text: string };
  /** Sends SIGTERM to the process that is PID 1 inside. */
  stop(): void;
  kill(): void;
  /** The exit code, as a container engine would report it. */
  readonly ended: Promise<number | null>;
}

/** Runs the image with its volume at `volume`, as PID 1 or under an init. */
export const runImage = (
  image: Image,
  volume: string,
  env: Readonly<Record<string, string>>,
  underInit: boolean,
): RunningImage => {
  const inside = { PATH, HOME: '/home/node', ...image.env, ...env };
  const child: ChildProcess = spawn(
    'unshare',
    [
      '-m',
      '-p',
      '-f',
      '--kill-child',
      'sh',
      '-c',
      `${LEND}
mount -t proc proc "$root/proc"
mount -t tmpfs -o size=16m,mode=1777 tmpfs "$root/tmp"
mount --bind "$1" "$root${image.volumes[0] ?? '/data'}"
mount -o remount,bind,ro "$root"
shift
exec chroot "$root" "$@"`,
      'sh',
      image.folder,
      process.execPath,
      volume,
      ...asImageUser(image.user),
      '/usr/bin/env',
      '-i',
      '-C',
      image.workdir,
      ...asWords(inside),
      ...(underInit ? ['sh', '-c', INIT, 'init'] : []),
      ...image.entrypoint,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      for (const look of waiting) look();
    });
  let over = false;
  const ended = once(child, 'close').then(([code]) => {
    over = true;
    for (const look of waiting) look();
    return code as number | null;
  });
  /** PID 1 of the namespace, by its number out here: the one child of `unshare`. */
  const first = (): string => {
    const [pid = ''] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
    if (pid === '') throw new Error('the container has no process');
    return pid;
  };
  return {
    text: () => text,
    until: words =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.includes(words)) resolve();
          else if (over) reject(new Error(`it ended without ${words}: ${text}`));
          else return;
          waiting.delete(look);
        };
        waiting.add(look);
        look();
      }),
    exec(command) {
      const done = spawnSync(
        'nsenter',
        [
          '-t',
          first(),
          '-m',
          '-p',
          '-r',
          ...asImageUser(image.user),
          '/usr/bin/env',
          '-i',
          '-C',
          image.workdir,
          ...asWords(inside),
          ...command,
        ],
        { encoding: 'utf8' },
      );
      return { status: done.status, text: `${done.stdout}${done.stderr}` };
    },
    stop: () => process.kill(Number(first()), 'SIGTERM'),
    kill: () => child.kill('SIGKILL'),
    ended,
  };
};
