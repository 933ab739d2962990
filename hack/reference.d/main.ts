/** `hack/reference [--check]`: docs/cli.md, from the program itself. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildProgram } from '../../src/cli/program.ts';
import { depsOf, outputOf } from './answers.ts';
import { referencePage } from './page.ts';

const FILE = join(import.meta.dirname, '../../docs/cli.md');

const [argument, ...more] = process.argv.slice(2);
if (more.length > 0 || (argument !== undefined && argument !== '--check')) {
  process.stderr.write('usage: hack/reference [--check | --record]\n');
  process.exit(2);
}
const program = buildProgram(
  depsOf(() => undefined),
  () => undefined,
);
const page = await referencePage(program, outputOf);
if (argument === undefined) writeFileSync(FILE, page);
else if (readFileSync(FILE, 'utf8') !== page) {
  process.stderr.write('hack/reference: docs/cli.md is not what the program gives; run hack/reference\n');
  process.exitCode = 1;
}
