/** `hack/schema [--check]`: the published schema and the reference page, from the agent's own schema. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { configJsonSchema } from '../../src/config/index.ts';
import { referencePage } from './reference.ts';

const SCHEMA_FILE = 'deploy/schema/berth-config.schema.json';
const files: readonly (readonly [string, string])[] = [
  [SCHEMA_FILE, formatted(SCHEMA_FILE, JSON.stringify(configJsonSchema()))],
  ['docs/configuration-reference.md', referencePage(configJsonSchema())],
];

const [argument, ...more] = process.argv.slice(2);
if (more.length > 0 || (argument !== undefined && argument !== '--check')) {
  process.stderr.write('usage: hack/schema [--check]\n');
  process.exit(2);
}
for (const [file, text] of files) {
  if (argument === undefined) writeFileSync(file, text);
  else if (readOrNothing(file) !== text) {
    process.stderr.write(`hack/schema: ${file} is not what src/config gives; run hack/schema\n`);
    process.exitCode = 1;
  }
}

/** In the project's own format, which the format check looks at. */
function formatted(file: string, text: string): string {
  const { error, status, stderr, stdout } = spawnSync('biome', ['format', `--stdin-file-path=${file}`], {
    input: text,
    encoding: 'utf8',
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

function readOrNothing(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
