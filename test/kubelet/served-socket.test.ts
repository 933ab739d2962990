import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import { serveSocket } from '../../src/kubelet/served-socket.ts';

const test = suite<{ folder: string }>('served socket');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-socket-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

async function failureOf(path: string): Promise<BerthError> {
  try {
    await (await serveSocket(path, () => undefined)).close();
  } catch (error) {
    assert.ok(error instanceof BerthError);
    return error;
  }
  return assert.fail(`${path} was served`);
}

test('a folder that is not there is called so, and not permission that is denied', async ({ folder }) => {
  const { message, reason, remedy } = await failureOf(join(folder, 'none', 'x.sock'));
  assert.equal(reason, 'socket-not-served');
  assert.equal(message, `cannot serve x.sock: kubelet's folder ${join(folder, 'none')} is not there`);
  assert.match(remedy ?? '', /--kubelet-dir/);
});

test('a folder that is none cannot be written', async ({ folder }) => {
  writeFileSync(join(folder, 'file'), '');
  const { message } = await failureOf(join(folder, 'file', 'x.sock'));
  assert.match(message, /kubelet's folder .*file cannot be written \(ENOTDIR\)$/);
});

test('anything else is told with its own words, and leaves nothing behind', async ({ folder }) => {
  // A folder has the name of the socket, so that the rename fails.
  mkdirSync(join(folder, 'x.sock', 'inside'), { recursive: true });
  const { message } = await failureOf(join(folder, 'x.sock'));
  assert.match(message, /^cannot serve x\.sock: .*(EISDIR|ENOTEMPTY)/);
  assert.deepEqual(readdirSync(folder), ['x.sock']);
  assert.ok(statSync(join(folder, 'x.sock', 'inside')).isDirectory());
});

test.run();
