/** Character devices of macvtap links, in a folder like the node's /dev; owners need root. */
import * as assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { toBerthError } from '../../src/engine/errors.ts';
import { ownTap, tapOwner } from '../../src/linux/tap-device.ts';
import { requireFeature } from '../runner/features.ts';

const test = suite('tap devices', { dev: '' });

test.before.each((context) => {
  context.dev = mkdtempSync(join(tmpdir(), 'berth-dev-'));
  writeFileSync(join(context.dev, 'tap7'), '');
});
test.after.each(({ dev }) => rmSync(dev, { recursive: true }));

test('one is there with its owner, another is not', async ({ dev }) => {
  const { uid, gid } = statSync(join(dev, 'tap7'));
  assert.deepEqual([await tapOwner(7, dev), await tapOwner(8, dev)], [{ uid, gid }, undefined]);
});

test('one that is missing cannot be given away, and the reason says what to look at', async ({ dev }) => {
  const failure = toBerthError(await ownTap(8, { uid: 1, gid: 1 }, dev).catch((error: unknown) => error));
  assert.equal(failure.reason, 'tap-device-missing');
  assert.match(failure.message, /tap8/);
});

test('what is no folder is an error, not an absence', async ({ dev }) => {
  const failure = toBerthError(await tapOwner(1, join(dev, 'tap7')).catch((error: unknown) => error));
  assert.equal(failure.reason, 'tap-device-unusable');
});

if (requireFeature('root', process.getuid?.() === 0)) {
  test('it is given to a user and a group', async ({ dev }) => {
    await ownTap(7, { uid: 107, gid: 108 }, dev);
    assert.deepEqual(await tapOwner(7, dev), { uid: 107, gid: 108 });
  });
}

test.run();
