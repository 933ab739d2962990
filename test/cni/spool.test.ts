import * as assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { createSpool, type Spool, type SpoolReport } from '../../src/cni/spool.ts';
import type { AttachmentSummary } from '../../src/engine/attachments/model.ts';
import { BerthError } from '../../src/engine/errors.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { temporaryFolder } from '../shim/built-shim.ts';
import { type FakeAttachments, fakeAttachments } from './fake-attachments.ts';
import { encodeSpoolEntry } from './shim-side.ts';

const BOOT = '77adb8ee-e8f9-4e5e-9f05-33af75c11234';
const root = temporaryFolder();
let number = 0;
const NOTHING: SpoolReport = { replayed: 0, superseded: 0, failed: 0, newer: 0, malformed: 0 };

function setUp(): {
  folder: string;
  engine: FakeAttachments;
  spool: Spool;
  put: (name: string, bytes: Buffer | string) => void;
} {
  const folder = join(root, `spool-${++number}`);
  mkdirSync(folder);
  const engine = fakeAttachments();
  const spool = createSpool({ folder, bootId: BOOT, attachments: engine, log: silentLogger });
  const put = (name: string, bytes: Buffer | string): void => {
    // As the shim does: nobody sees half an entry.
    writeFileSync(join(folder, `.new-${name}`), bytes);
    renameSync(join(folder, `.new-${name}`), join(folder, name));
  };
  return { folder, engine, spool, put };
}

function summary(since: string): AttachmentSummary {
  return {
    containerId: parseContainerId('c1'),
    ifname: parseIfName('net1'),
    kind: 'macvlan',
    device: 'eth0',
    network: parseNetworkName('net-a'),
    addresses: [],
    state: 'attached',
    createdAt: '2026-01-01T00:00:00.000Z',
    since,
  };
}

test('entries of this boot are detached, without a sandbox, and are gone', async () => {
  const { folder, engine, spool, put } = setUp();
  put('c1@net1', encodeSpoolEntry('c1', 'net1', BOOT, Date.now()));
  put('c2@a@b', encodeSpoolEntry('c2', 'a@b', BOOT, Date.now()));
  assert.deepEqual(await spool.replay(), { ...NOTHING, replayed: 2 });
  assert.deepEqual(engine.detached.map(({ key, sandbox }) => [key.containerId, key.ifname, sandbox]).sort(), [
    ['c1', 'net1', undefined],
    ['c2', 'a@b', undefined],
  ]);
  assert.deepEqual(readdirSync(folder), []);
});

for (const bootId of ['00000000-0000-4000-8000-000000000000', 'unknown']) {
  test(`entries of boot ${bootId} release addresses and nothing else`, async () => {
    const { engine, spool, put } = setUp();
    put('c1@net1', encodeSpoolEntry('c1', 'net1', bootId, Date.now()));
    assert.equal((await spool.replay()).replayed, 1);
    assert.deepEqual(engine.released, [{ containerId: 'c1', ifname: 'net1' }]);
    assert.equal(engine.detached.length, 0);
  });
}

test('an attachment that was made after the DEL was asked for is left alone', async () => {
  const { folder, engine, spool, put } = setUp();
  const askedAtMs = Date.parse('2026-11-21T04:00:00.500Z');
  engine.summaries = [summary('2026-11-21T04:00:01Z')];
  put('c1@net1', encodeSpoolEntry('c1', 'net1', BOOT, askedAtMs));
  assert.deepEqual(await spool.replay(), { ...NOTHING, superseded: 1 });
  assert.equal(engine.detached.length, 0);
  engine.summaries = [summary('2026-11-21T04:00:00Z')];
  put('c1@net1', encodeSpoolEntry('c1', 'net1', BOOT, askedAtMs));
  assert.deepEqual(await spool.replay(), { ...NOTHING, replayed: 1 });
  assert.deepEqual(readdirSync(folder), []);
});

test('an entry whose detach fails is kept and tried again, also by the next agent', async () => {
  const { folder, engine, spool, put } = setUp();
  put('c1@net1', encodeSpoolEntry('c1', 'net1', BOOT, Date.now()));
  engine.during = () => {
    throw new BerthError({ code: 'Busy', reason: 'busy', message: 'busy' });
  };
  assert.deepEqual(await spool.replay(), { ...NOTHING, failed: 1 });
  assert.equal(readdirSync(folder).length, 1);
  engine.during = () => undefined;
  const next = createSpool({ folder, bootId: BOOT, attachments: engine, log: silentLogger });
  assert.deepEqual(await next.replay(), { ...NOTHING, replayed: 1 });
  assert.deepEqual(readdirSync(folder), []);
});

test('what a later release wrote is kept as it is', async () => {
  const { folder, spool, put } = setUp();
  put('c1@net1', 'berth-spool 2 whatever\n');
  assert.deepEqual(await spool.replay(), { ...NOTHING, newer: 1 });
  assert.deepEqual(readdirSync(folder), ['c1@net1']);
});

const GOOD = encodeSpoolEntry('c1', 'net1', BOOT, Date.now());
for (const [what, bytes] of [
  ['empty', ''],
  ['no entry', 'hello\n'],
  ['cut off', GOOD.subarray(0, GOOD.length - 1)],
  ['longer than it says', Buffer.concat([GOOD, Buffer.from('x')])],
  ["another container's", encodeSpoolEntry('c2', 'net1', BOOT, Date.now())],
  ['without a time', GOOD.toString('latin1').replace(/ \d+\.\d+\n/, '\n')],
  ['of an illegal key', encodeSpoolEntry('../x', 'net1', BOOT, Date.now())],
] as const) {
  test(`an entry that is ${what} is moved aside and touches nothing`, async () => {
    const { folder, engine, spool, put } = setUp();
    put('c1@net1', typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    assert.deepEqual(await spool.replay(), { ...NOTHING, malformed: 1 });
    assert.deepEqual(readdirSync(folder), []);
    assert.deepEqual(readdirSync(`${folder}.malformed`), ['c1@net1']);
    assert.equal(engine.detached.length + engine.released.length, 0);
  });
}

test('links and folders in the spool are not followed', async () => {
  const { folder, spool } = setUp();
  symlinkSync('/etc/passwd', join(folder, 'c1@net1'));
  mkdirSync(join(folder, 'c2@net1'));
  assert.deepEqual(await spool.replay(), { ...NOTHING, malformed: 2 });
});

test("drafts are left to their shims, unless they are older than any shim's life", async () => {
  const { folder, spool } = setUp();
  writeFileSync(join(folder, '.new-1-1'), 'young');
  writeFileSync(join(folder, '.new-2-2'), 'old');
  utimesSync(join(folder, '.new-2-2'), 1, 1);
  assert.deepEqual(await spool.replay(), NOTHING);
  assert.deepEqual(readdirSync(folder), ['.new-1-1']);
});

test('entries that appear later are replayed when they appear', async () => {
  const { folder, engine, spool, put } = setUp();
  const seen = Promise.withResolvers<void>();
  engine.during = () => seen.resolve();
  const stop = spool.watch();
  put('c1@net1', encodeSpoolEntry('c1', 'net1', BOOT, Date.now()));
  await seen.promise;
  await stop();
  assert.deepEqual(readdirSync(folder), []);
  assert.equal(engine.detached.length, 1);
});

test.run();
