/** The interfaces of a device by its path, in a tree like that of sysfs. */
import * as assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { readNetdevsAt } from '../../../src/linux/sysfs/netdevs-at.ts';

const test = suite('interfaces by path', { sys: '' });

test.before.each((context) => {
  context.sys = realpathSync(mkdtempSync(join(tmpdir(), 'berth-sys-')));
  const made = [
    'devices/pci0000:00/0000:00:19.0/net/eth1',
    'devices/pci0000:00/0000:00:19.0/net/eth0',
    'devices/pci0000:00/0000:00:1a.0/virtio3/net/eth2',
    'devices/pci0000:00/0000:00:1b.0/usb1/net/eth9',
    'elsewhere/net/eth3',
    'bus/auxiliary/devices',
  ];
  for (const path of made) mkdirSync(join(context.sys, path), { recursive: true });
  symlinkSync('../../../devices/pci0000:00/0000:00:19.0', join(context.sys, 'bus/auxiliary/devices/mlx5_core.sf.2'));
  symlinkSync('../elsewhere', join(context.sys, 'devices/out'));
});
test.after.each(({ sys }) => rmSync(sys, { recursive: true }));

const CASES: readonly (readonly [what: string, path: string, names: readonly string[]])[] = [
  ['in its own folder, in order', 'devices/pci0000:00/0000:00:19.0', ['eth0', 'eth1']],
  ["in that of its virtio device's", 'devices/pci0000:00/0000:00:1a.0', ['eth2']],
  ['by its name on another bus', 'bus/auxiliary/devices/mlx5_core.sf.2', ['eth0', 'eth1']],
  ['not those of devices below', 'devices/pci0000:00/0000:00:1b.0', []],
  ['none of a device that is not there', 'devices/pci0000:00/0000:99:00.0', []],
  ['none outside of devices', 'elsewhere', []],
  ['none through a link that leads out', 'devices/out', []],
  ['none through a path that climbs', 'devices/../elsewhere', []],
];

for (const [what, path, names] of CASES) {
  test(what, async ({ sys }) => {
    assert.deepEqual(await readNetdevsAt(`${sys}/${path}`, sys), names);
  });
}

test.run();
