/**
 * Keeps compiled code on disk between starts, in this thread and in the workers it spawns. Measured on 2 cores: from
 * start to trading 2.9 s without it, 2.2 s with it; a restarted worker is back that much sooner, too.
 */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Beside the code it belongs to, so that only who may change the code can change the cache: a folder for everybody's
 * temporary files would let others hand us compiled code. Where that folder cannot be written nothing is cached.
 * @param env The environment that workers inherit; an operator's own choice in it is left alone.
 */
export const keepCompiledCode = (env: Record<string, string | undefined>): void => {
  const folder = env.NODE_COMPILE_CACHE ?? fileURLToPath(new URL('../.compiled', import.meta.url));
  enableCompileCache(folder);
  env.NODE_COMPILE_CACHE = folder;
};
