/** The project's TypeScript files as the architecture rules see them: code without comments and texts, and imports. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** What a file imports, as it is written and as it resolves. */
export interface Import {
  readonly specifier: string;
  /** The file of this project, or null for a package or a Node module. */
  readonly file: string | null;
  /** Named by `new URL(…, import.meta.url)`: started as a thread of its own, not imported. */
  readonly spawned: boolean;
}

export interface SourceFile {
  /** Relative to the repository, with forward slashes: `src/domain/money.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the insides of string, template and regular-expression literals blanked. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Reads every `.ts` file below the given folders of the repository at `root`. */
export const readSources = (root: string, folders: readonly string[]): SourceFile[] =>
  folders.flatMap(folder => (existsSync(join(root, folder)) ? filesBelow(root, folder) : []));

const filesBelow = (root: string, folder: string): SourceFile[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesBelow(root, path);
    return entry.name.endsWith('.ts') ? [sourceFile(path, readFileSync(join(root, path), 'utf8'))] : [];
  });

/** Makes a source file of a path and its text. */
export const sourceFile = (path: string, text: string): SourceFile => ({
  path,
  text,
  code: withoutTexts(text),
  imports: importsOf(path, text),
});

const IMPORT =
  /(?:^|[\s;}])(?:import|export)\s(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|new URL\(\s*['"]([^'"]+)['"]\s*,\s*import\.meta\.url/gm;

const importsOf = (path: string, text: string): Import[] => {
  const imports: Import[] = [];
  for (const match of withoutComments(text).matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    imports.push({ specifier, file: resolveImport(path, specifier), spawned: match[3] !== undefined });
  }
  return imports;
};

const resolveImport = (from: string, specifier: string): string | null => {
  const target = specifier.startsWith('#src/')
    ? `src/${specifier.slice('#src/'.length)}`
    : specifier.startsWith('.')
      ? posix.join(posix.dirname(from), specifier)
      : null;
  return target?.endsWith('.js') ? `${target.slice(0, -'.js'.length)}.ts` : null;
};

const withoutComments = (text: string): string => blank(text, false);
const withoutTexts = (text: string): string => blank(text, true);

/** Blanks comments, and with `texts` the insides of literals too; line breaks stay, so that lines keep their numbers. */
const blank = (text: string, texts: boolean): string => {
  let out = '';
  let at = 0;
  /** Open `${` of template literals: how many braces are open inside each. */
  const templates: number[] = [];
  const skipTo = (end: number, hide: boolean): void => {
    const part = text.slice(at, end);
    out += hide ? part.replace(/[^\n]/g, ' ') : part;
    at = end;
  };
  const literal = (end: number): void => {
    skipTo(at + 1, false);
    skipTo(Math.max(at, end - 1), texts);
    skipTo(end, false);
  };
  /** From inside a template literal to behind its end, or behind its next `${`. */
  const template = (): void => {
    let end = at;
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end))
      end += text[end] === '\\' ? 2 : 1;
    skipTo(end, texts);
    if (text[end] === '`') skipTo(end + 1, false);
    else {
      skipTo(end + 2, false);
      templates.push(0);
    }
  };
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const one = text[at] ?? '';
    if (two === '//') skipTo(endOr(text.indexOf('\n', at), text.length), true);
    else if (two === '/*') skipTo(endOr(text.indexOf('*/', at + 2), text.length - 2) + 2, true);
    else if (one === "'" || one === '"') literal(literalEnd(text, at, one));
    else if (one === '`') {
      skipTo(at + 1, false);
      template();
    } else if (one === '/' && startsExpression(out)) literal(regexEnd(text, at));
    else if (one === '}' && templates.at(-1) === 0) {
      templates.pop();
      skipTo(at + 1, false);
      template();
    } else {
      const open = templates.length - 1;
      if (open >= 0 && one === '{') templates[open] = (templates[open] ?? 0) + 1;
      if (open >= 0 && one === '}') templates[open] = (templates[open] ?? 0) - 1;
      skipTo(at + 1, false);
    }
  }
  return out;
};

const endOr = (found: number, otherwise: number): number => (found < 0 ? otherwise : found);

const literalEnd = (text: string, start: number, quote: string): number => {
  let end = start + 1;
  while (end < text.length && text[end] !== quote) end += text[end] === '\\' ? 2 : 1;
  return end + 1;
};

const regexEnd = (text: string, start: number): number => {
  let end = start + 1;
  let inClass = false;
  while (end < text.length && text[end] !== '\n' && (inClass || text[end] !== '/')) {
    if (text[end] === '[') inClass = true;
    if (text[end] === ']') inClass = false;
    end += text[end] === '\\' ? 2 : 1;
  }
  return end + 1;
};

/** Whether a slash after this code begins a regular expression rather than a division. */
const startsExpression = (before: string): boolean =>
  /(?:^|[=(,:;!&|?{}[+\-*%<>~]|\b(?:return|typeof|case|of|in))\s*$/.test(before.slice(-40));
