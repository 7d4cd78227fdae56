/** `npm run docs`: makes the tables, the alert rules and the dashboard anew from the code. Run it in the repository. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { GENERATED_FILES } from './generated-files.js';

for (const { path, render } of GENERATED_FILES) {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const after = render(before);
  if (after === before) continue;
  writeFileSync(path, after);
  process.stdout.write(`${path} is made anew\n`);
}
