/** What becomes of a command whose output nobody takes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { test } from 'uvu';

const MODULE = new URL('../../src/app/output.ts', import.meta.url).href;
/** More than a pipe holds, so that the write is still under way when its other end goes. */
const PROGRAM = `
const { processOutput } = await import(${JSON.stringify(MODULE)});
const output = processOutput();
for (let i = 0; i < 64; i++) output.out('x'.repeat(65536));
`;

async function ended(stdout: 'pipe' | number): Promise<{ code: number | null; err: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM], {
    stdio: ['ignore', stdout, 'pipe'],
  });
  let err = '';
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdout?.once('data', () => child.stdout?.destroy());
  const [code] = await once(child, 'close');
  return { code: code as number | null, err };
}

test('a reader that has seen enough ends the command without a word', async () => {
  assert.deepEqual(await ended('pipe'), { code: 141, err: '' });
});

test('a full disk is a failure in one line', async () => {
  const full = openSync('/dev/full', 'w');
  try {
    assert.deepEqual(await ended(full), { code: 1, err: 'berth: the output cannot be written: ENOSPC\n' });
  } finally {
    closeSync(full);
  }
});

test.run();
