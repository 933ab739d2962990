/** The page of errors that comes with the program: beside a release, in `docs` of a checkout. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PAGE = 'troubleshooting.md';

/** `home` is the folder of the program's first module. `undefined` where the page was left out. */
export function troubleshootingPage(home: string): string | undefined {
  const path = [join(home, PAGE), join(home, '../docs', PAGE)].find(existsSync);
  return path === undefined ? undefined : readFileSync(path, 'utf8');
}
