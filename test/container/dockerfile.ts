/** The Dockerfile, read as far as ours goes: enough to do what it says without a container engine. */

export interface Instruction {
  readonly keyword: string;
  /** What follows the keyword, continued lines joined. */
  readonly text: string;
}

export interface Stage {
  readonly name: string;
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

const KEYWORDS = new Set([
  'ARG',
  'FROM',
  'WORKDIR',
  'COPY',
  'RUN',
  'ENV',
  'USER',
  'VOLUME',
  'HEALTHCHECK',
  'ENTRYPOINT',
]);

/** @throws when there is an instruction that this reader does not know. */
export const readDockerfile = (text: string): readonly Stage[] => {
  const lines = text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
  const values = new Map<string, string>();
  const filled = (words: string): string =>
    words.replace(/\$\{(\w+)\}/g, (_whole, name: string) => values.get(name) ?? '');
  const stages: { name: string; base: string; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [keyword = '', ...rest] = line.split(' ');
    const words = rest.join(' ');
    if (!KEYWORDS.has(keyword)) throw new Error(`${keyword} is not an instruction this reader knows`);
    if (keyword === 'ARG') {
      const [name = '', value = ''] = words.split('=');
      values.set(name, value);
    } else if (keyword === 'FROM') {
      const [base = '', , name = ''] = words.split(' ');
      stages.push({ name, base: filled(base), instructions: [] });
    } else stages.at(-1)?.instructions.push({ keyword, text: words });
  }
  return stages;
};

/** The words of a JSON array (the exec form); null when it is the shell form. */
export const execForm = (text: string): readonly string[] | null =>
  text.startsWith('[') ? (JSON.parse(text) as readonly string[]) : null;
