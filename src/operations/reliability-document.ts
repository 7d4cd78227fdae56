/** docs/RELIABILITY.md as text: marked sections, each replaced by a run that measures its subject and by nothing else. */

const HEAD = `# Reliability

Written by \`npm run faults\`, each section by the newest run of its part: real supervisor, workers, threads and sockets, as
processes of their own against an embedded exchange that outlives them. \`npm run faults -- signals,freeze\` runs some parts.
Other work shares the machine, so times include waiting for a core; the load average says how much.
`;

export const markOf = (name: string): string => `<!-- part: ${name} -->`;
export const endOf = (name: string): string => `<!-- end of ${name} -->`;

/**
 * The document with one section put in place of the older one, or behind that of the nearest part before it.
 * @param order the names of all parts
 */
export const withSection = (
  document: string,
  name: string,
  section: string,
  order: readonly string[],
): string => {
  const start = document.indexOf(markOf(name));
  const end = document.indexOf(endOf(name));
  if (start >= 0 && end > start)
    return `${document.slice(0, start)}${section}${document.slice(end + endOf(name).length)}`;
  const before = order
    .slice(0, order.indexOf(name))
    .reverse()
    .find(other => document.includes(endOf(other)));
  if (before === undefined) {
    // The first of all: right behind the head.
    const firstMark = document.indexOf('<!-- part: ');
    const head = document === '' ? HEAD : document.slice(0, firstMark < 0 ? undefined : firstMark);
    const rest = firstMark < 0 ? '' : `\n\n${document.slice(firstMark)}`;
    return `${head.trimEnd()}\n\n${section}${rest === '' ? '\n' : rest}`;
  }
  const behind = document.indexOf(endOf(before)) + endOf(before).length;
  return `${document.slice(0, behind)}\n\n${section}${document.slice(behind)}`;
};
