/**
 * A full disk under /run and a read-only /var/run/cdi: each file that cannot be written has a named
 * error or is done without, nothing half-written stays, and no descriptor is lost. The file systems
 * are in a mount namespace of this process, which ends with it.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import type { OwnedAddress } from '../../src/engine/ipam/port.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { createPoolSet } from '../../src/engine/pools/pool-set.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { CdiFolder } from '../../src/kubelet/cdi-folder.ts';
import { Delivery } from '../../src/kubelet/delivery.ts';
import { createDeviceInfoFolder } from '../../src/kubelet/device-info.ts';
import { OfferedResources } from '../../src/kubelet/offered-resources.ts';
import { declare } from '../../src/linux/ffi/libc.ts';
import { createOwnedAddresses } from '../../src/linux/files/owned-addresses.ts';
import { createRecordStore } from '../../src/linux/files/record-store.ts';
import { inventory, nic, vfio, vfSpec } from '../engine/pools/build.ts';
import { requireFeature } from '../runner/features.ts';

const RESOURCE = 'rig.example/vf';
const ADDRESS = '0000:41:10.0';
/** linux/sched.h */
const CLONE_NEWNS = 0x0002_0000;

/** A folder of a small file system of its own, and another that is read-only. */
function smallDisks(): { readonly full: string; readonly readOnly: string; end(): void } {
  const root = mkdtempSync(join(tmpdir(), 'berth-'));
  const [full, readOnly] = [join(root, 'run'), join(root, 'cdi')];
  for (const folder of [full, readOnly]) mkdirSync(folder);
  mount('-t', 'tmpfs', '-o', 'size=256k,mode=0755', 'berth-test', full);
  mount('-t', 'tmpfs', '-o', 'ro,size=16k', 'berth-test', readOnly);
  return {
    full,
    readOnly,
    end: () => {
      for (const folder of [full, readOnly]) execFileSync('umount', ['-n', folder]);
      rmSync(root, { recursive: true });
    },
  };
}

/** -n: /etc/mtab is the machine's. */
function mount(...words: readonly string[]): void {
  execFileSync('mount', ['-n', ...words]);
}

/** Takes the last byte; `free` gives all of them back. */
function fill(folder: string): { free(): void } {
  const path = join(folder, 'filler');
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(path, Buffer.alloc(bavail * bsize));
  assert.equal(statfsSync(folder).bavail, 0);
  return { free: () => rmSync(path) };
}

const descriptors = (): number => readdirSync('/proc/self/fd').length;

/** A delivery from one pool with a VF on vfio-pci, and its state. */
function deliveryInto(deviceInfoDir: string, cdiDir: string) {
  const pools = createPoolSet({
    specs: [vfSpec({ resource: RESOURCE })],
    inventory: inventory([nic('eth0', [vfio(0)])]),
    log: silentLogger,
  });
  const [state] = pools.plan().pools;
  assert.ok(state);
  const delivery = new Delivery({
    pools,
    node: { has: () => true },
    deviceInfo: createDeviceInfoFolder(deviceInfoDir, silentLogger),
    cdi: new CdiFolder(cdiDir, silentLogger),
    log: silentLogger,
  });
  return {
    give: () => delivery.give(state, [ADDRESS]),
    problems: () => delivery.problems(RESOURCE),
    stop: () => {
      delivery.stop();
      pools.stop();
    },
  };
}

const owner = process.getuid?.() === 0 && declare('int unshare(int flags)').now(CLONE_NEWNS) === 0;
if (requireFeature('a mount namespace of its own', owner)) {
  mount('--make-rprivate', '/');

  test('a full disk: the pod gets its nodes as such, both problems are told, and end with the next good write', () => {
    const disks = smallDisks();
    const delivery = deliveryInto(join(disks.full, 'devinfo'), join(disks.full, 'cdi'));
    try {
      for (const folder of ['devinfo/dp', 'cdi']) mkdirSync(join(disks.full, folder), { recursive: true });
      const filler = fill(disks.full);
      const before = descriptors();
      for (let round = 0; round < 50; round++) {
        const answer = delivery.give();
        assert.deepEqual(
          answer.devices.map(({ hostPath }) => hostPath),
          ['/dev/vfio/vfio', '/dev/vfio/42'],
        );
        assert.deepEqual(answer.cdiDevices, []);
      }
      assert.equal(descriptors(), before);
      const problems = delivery.problems();
      assert.equal(problems.length, 2);
      assert.match(problems[0] ?? '', /^no CDI specification .*ENOSPC.* Make room on the file system of .*\/cdi\.$/);
      assert.match(problems[1] ?? '', /^no device-info for Multus: .*ENOSPC.* Make room on the file system of/);
      assert.deepEqual(readdirSync(join(disks.full, 'devinfo', 'dp')), []);
      assert.deepEqual(readdirSync(join(disks.full, 'cdi')), []);
      filler.free();
      assert.equal(delivery.give().cdiDevices.length, 1);
      assert.deepEqual(delivery.problems(), []);
      assert.equal(readdirSync(join(disks.full, 'devinfo', 'dp')).length, 1);
    } finally {
      delivery.stop();
      disks.end();
    }
  });

  test('a full disk: what was written before stays whole', () => {
    const disks = smallDisks();
    const cdi = new CdiFolder(disks.full, silentLogger);
    try {
      cdi.update(RESOURCE, new Map([[ADDRESS, ['/dev/vfio/42']]]));
      const path = join(disks.full, 'berth-pool-rig.example_vf.json');
      const before = readFileSync(path, 'utf8');
      const filler = fill(disks.full);
      const more = new Map(Array.from({ length: 200 }, (_, at) => [`0000:42:00.${at}`, ['/dev/vfio/7']]));
      assert.throws(() => cdi.update(RESOURCE, more), { reason: 'cdi-not-written' });
      assert.equal(readFileSync(path, 'utf8'), before);
      filler.free();
    } finally {
      disks.end();
    }
  });

  test('a full disk: a record that cannot be written is a named error, and what is remembered is done without', () => {
    const disks = smallDisks();
    try {
      const folder = join(disks.full, 'attachments');
      const records = createRecordStore(folder);
      const filler = fill(disks.full);
      const before = descriptors();
      const key = { containerId: parseContainerId('c1'), ifname: parseIfName('net1') };
      assert.throws(() => records.write(key, 'x'.repeat(5000)), { reason: 'record-write-failed', errno: 'ENOSPC' });
      assert.deepEqual(readdirSync(folder), []);
      const offered = new OfferedResources(join(disks.full, 'offered-resources.json'), silentLogger);
      offered.set([RESOURCE]);
      assert.deepEqual(offered.list(), [RESOURCE]);
      assert.equal(descriptors(), before);
      filler.free();
    } finally {
      disks.end();
    }
  });

  test('a full disk: an address that cannot be noted is a named error, and one that was noted can be forgotten', () => {
    const disks = smallDisks();
    try {
      const folder = join(disks.full, 'addresses');
      const notes = createOwnedAddresses(folder);
      const noteOf = (container: string, bytes: number): OwnedAddress => ({
        bootId: 'b',
        place: { type: 'host-local', dataDir: `/${'x'.repeat(bytes)}` },
        network: parseNetworkName('net'),
        containerId: parseContainerId(container),
        ifname: parseIfName('net1'),
      });
      notes.note(noteOf('c1', 10));
      const filler = fill(disks.full);
      const before = descriptors();
      // A part of it has room in the page that is begun.
      for (const bytes of [5000, 50_000])
        assert.throws(() => notes.note(noteOf('c2', bytes)), { reason: 'address-note-failed', errno: 'ENOSPC' });
      assert.deepEqual(createOwnedAddresses(folder).list(), { notes: [noteOf('c1', 10)], unreadable: [] });
      notes.forget(noteOf('c1', 10));
      assert.deepEqual(createOwnedAddresses(folder).list(), { notes: [], unreadable: [] });
      assert.deepEqual(readdirSync(folder), ['notes']);
      assert.equal(descriptors(), before);
      filler.free();
      notes.note(noteOf('c2', 5000));
      assert.deepEqual(createOwnedAddresses(folder).list().notes, [noteOf('c2', 5000)]);
    } finally {
      disks.end();
    }
  });

  test('a read-only CDI folder: the pod gets its nodes as such, and the problem names the folder', () => {
    const disks = smallDisks();
    const delivery = deliveryInto(join(disks.full, 'devinfo'), disks.readOnly);
    try {
      const answer = delivery.give();
      assert.equal(answer.devices.length, 2);
      assert.deepEqual(answer.cdiDevices, []);
      const [problem, ...others] = delivery.problems();
      assert.deepEqual(others, []);
      assert.match(problem ?? '', /EROFS/);
      assert.ok(problem?.endsWith(`Mount ${disks.readOnly} into the agent so that it can write there.`));
    } finally {
      delivery.stop();
      disks.end();
    }
  });
}

test.run();
