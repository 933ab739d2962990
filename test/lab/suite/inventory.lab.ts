/**
 * The inventory of a machine with real SR-IOV NICs: what is read, and that every change of the
 * kernel is seen. One live inventory watches through all tests, in their order.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { findingsOf } from '../../../src/engine/findings/index.ts';
import { createLiveInventory, type LiveInventory } from '../../../src/engine/inventory/live.ts';
import type { Inventory, Nic, Vf } from '../../../src/engine/inventory/model.ts';
import { captureTree } from '../../../src/linux/capture.ts';
import { createChangeSource } from '../../../src/linux/changes.ts';
import { liveFacts } from '../../../src/linux/facts/live.ts';
import { createHostFacts } from '../../../src/linux/netlink/host-facts.ts';
import { createNodeReader } from '../../../src/linux/node-reader.ts';
import { readPciFunction } from '../../../src/linux/sysfs/pci-function.ts';

const test = suite('inventory in the lab');
const GIVE_UP_MS = 60_000;
const NAMESPACE = 'berth-inventory';

const host = createHostFacts();
const reader = createNodeReader({ root: '/', facts: liveFacts(host) });
let live: LiveInventory;

test.before(async () => {
  for (const pf of ['eth0', 'eth1']) {
    setVfs(pf, 0);
    // The lab's router sends advertisements when it likes: routes would come and go by themselves.
    writeFileSync(`/proc/sys/net/ipv6/conf/${pf}/accept_ra`, '0\n');
    ip('-6', 'route', 'flush', 'default', 'dev', pf);
  }
  live = await createLiveInventory({ reader, changes: createChangeSource() });
});

test.after(async () => {
  await live.stop();
  host.close();
  for (const pf of ['eth0', 'eth1']) setVfs(pf, 0);
  if (existsSync(`/run/netns/${NAMESPACE}`)) ip('netns', 'del', NAMESPACE);
});

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

function setVfs(pf: string, count: number): void {
  writeFileSync(`/sys/class/net/${pf}/device/sriov_numvfs`, `${count}\n`);
}

/** Resolves when the live inventory, told by nothing but the kernel, is as wanted. */
async function seen(what: string, isSo: (inventory: Inventory) => boolean): Promise<void> {
  if (isSo(live.current)) return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      end();
      reject(new Error(`not seen: ${what}; there is ${JSON.stringify(live.current.nics)}`));
    }, GIVE_UP_MS);
    const end = live.subscribe((_diff, inventory) => {
      if (!isSo(inventory)) return;
      clearTimeout(timer);
      end();
      resolve();
    });
  });
}

/** Reads until nothing is missing: on a busy machine slow files miss their deadline, and the inventory says so. */
async function complete(read: () => Promise<Inventory>): Promise<Inventory> {
  const until = performance.now() + GIVE_UP_MS;
  for (;;) {
    const inventory = await read();
    if (inventory.unread.length === 0 || performance.now() > until) return inventory;
  }
}

function pf(ifname: string, inventory: Inventory = live.current): Nic {
  const nic = inventory.nics.find((candidate) => candidate.ifname === ifname);
  assert.ok(nic, `${ifname} is in the inventory`);
  return nic;
}

function vf(index: number, inventory: Inventory = live.current): Vf | undefined {
  return inventory.nics.find((nic) => nic.ifname === 'eth0')?.vfs[index];
}

function addressOf(index: number): Vf['address'] {
  const address = vf(index)?.address;
  assert.ok(address);
  return address;
}

test('both NICs are there, each with its NUMA node, IOMMU group, address and firmware', () => {
  const nics = ['eth0', 'eth1'].map((name) => pf(name));
  assert.deepEqual(
    nics.map((nic) => nic.numaNode),
    [0, 1],
  );
  for (const nic of nics) {
    assert.equal(`${nic.vendor}:${nic.device} ${nic.driver}`, '8086:10c9 igb');
    assert.deepEqual(nic.sriov?.totalVfs, 7);
    assert.equal(typeof nic.iommuGroup, 'number');
    assert.match(nic.pcieRoot ?? '', /^pci0000:[48]0$/);
    assert.equal(nic.netdev?.permanentMac, nic.netdev?.mac);
    assert.match(nic.firmware ?? '', /^[0-9]/);
    assert.ok(nic.pcieNow?.width);
  }
  assert.deepEqual(live.current.unread, []);
});

test('VFs that are made appear with their netdevs', async () => {
  setVfs('eth0', 2);
  await seen(
    'two VFs with netdevs',
    (inventory) => pf('eth0', inventory).vfs.filter((one) => one.netdev !== undefined).length === 2,
  );
  const [one, two] = pf('eth0').vfs;
  assert.deepEqual([one?.index, two?.index, one?.driver, one?.numaNode], [0, 1, 'igbvf', 0]);
  assert.notEqual(one?.iommuGroup, two?.iommuGroup);
  assert.equal(pf('eth0').sriov?.numVfs, 2);
});

test('the settings of VFs are read, and followed when they change', async () => {
  ip('link', 'set', 'eth0', 'up');
  await seen('settings of both VFs', (inventory) =>
    pf('eth0', inventory).vfs.every((one) => one.settings?.spoofCheck === true),
  );
  ip('link', 'set', 'eth0', 'vf', '1', 'vlan', '77', 'qos', '3');
  await seen('VLAN 77', (inventory) => vf(1, inventory)?.settings?.vlan === 77);
  assert.equal(vf(1)?.settings?.vlanQos, 3);
  assert.equal(vf(0)?.settings?.vlan, 0);
  ip('link', 'set', 'eth0', 'vf', '1', 'vlan', '0');
  await seen('no VLAN', (inventory) => vf(1, inventory)?.settings?.vlan === 0);
});

test('a VF that is renamed has its new name', async () => {
  const before = vf(0)?.ifname;
  assert.ok(before);
  ip('link', 'set', before, 'name', 'renamed0');
  await seen('renamed0', (inventory) => vf(0, inventory)?.ifname === 'renamed0');
});

test('an alternative name is seen', async () => {
  // Of a link that is down the kernel does not announce it.
  ip('link', 'property', 'add', 'dev', 'eth0', 'altname', 'first-function');
  await seen('altname', (inventory) => pf('eth0', inventory).netdev?.altnames.includes('first-function') === true);
  ip('link', 'property', 'del', 'dev', 'eth0', 'altname', 'first-function');
  await seen('no altname', (inventory) => pf('eth0', inventory).netdev?.altnames.length === 0);
});

test('a PF that goes down and up says so', async () => {
  ip('link', 'set', 'eth0', 'down');
  await seen('eth0 down', (inventory) => pf('eth0', inventory).netdev?.adminUp === false);
  ip('link', 'set', 'eth0', 'up');
  await seen('eth0 with carrier', (inventory) => pf('eth0', inventory).netdev?.carrier === true);
  await seen('speed of eth0', (inventory) => pf('eth0', inventory).netdev?.speedMbps === 1000);
});

test('an address and a default route are seen, and their end', async () => {
  const link = (inventory: Inventory) => inventory.virtual.find((one) => one.ifname === 'lab-dummy');
  ip('link', 'add', 'lab-dummy', 'type', 'dummy');
  ip('link', 'set', 'lab-dummy', 'up');
  ip('address', 'add', '192.0.2.10/24', 'dev', 'lab-dummy');
  await seen('address', (inventory) => link(inventory)?.addresses.includes('192.0.2.10/24') === true);
  ip('route', 'add', 'default', 'via', '192.0.2.1', 'dev', 'lab-dummy', 'metric', '4000');
  await seen('default route', (inventory) => link(inventory)?.defaultRoute === true);
  // The kernel does not announce the IPv4 routes that a link takes with it.
  ip('link', 'set', 'lab-dummy', 'down');
  await seen('no default route', (inventory) => link(inventory)?.defaultRoute === false);
  ip('address', 'del', '192.0.2.10/24', 'dev', 'lab-dummy');
  await seen('no address', (inventory) => link(inventory)?.addresses.includes('192.0.2.10/24') === false);
  ip('link', 'del', 'lab-dummy');
  await seen('no link', (inventory) => link(inventory) === undefined);
});

test('a VF in a pod keeps its place without its netdev, and comes home', async () => {
  ip('netns', 'add', NAMESPACE);
  ip('link', 'set', 'renamed0', 'netns', NAMESPACE);
  await seen(
    'VF without netdev',
    (inventory) => vf(0, inventory) !== undefined && vf(0, inventory)?.netdev === undefined,
  );
  assert.equal(vf(0)?.driver, 'igbvf');
  ip('netns', 'del', NAMESPACE);
  await seen('VF at home', (inventory) => vf(0, inventory)?.netdev !== undefined);
});

test('a VF on vfio-pci has its character device', async () => {
  const address = addressOf(1);
  const device = `/sys/bus/pci/devices/${address}`;
  writeFileSync(`${device}/driver_override`, 'vfio-pci\n');
  writeFileSync(`${device}/driver/unbind`, `${address}\n`);
  writeFileSync('/sys/bus/pci/drivers_probe', `${address}\n`);
  await seen('vfio-pci', (inventory) => vf(1, inventory)?.driver === 'vfio-pci');
  assert.equal(vf(1)?.ifname, undefined);
  assert.equal(vf(1)?.deviceNodes.vfio, `/dev/vfio/${vf(1)?.iommuGroup}`);
  assert.ok(existsSync(vf(1)?.deviceNodes.vfio ?? ''));
});

test('a stacked link is seen from both sides', async () => {
  ip('link', 'add', 'link', 'eth1', 'name', 'lab-macvlan', 'type', 'macvlan', 'mode', 'bridge');
  await seen('macvlan', (inventory) =>
    inventory.virtual.some((link) => link.ifname === 'lab-macvlan' && link.kind === 'macvlan'),
  );
  await seen('its uplink', (inventory) => pf('eth1', inventory).netdev?.uppers.includes('lab-macvlan') === true);
  ip('link', 'del', 'lab-macvlan');
  await seen('no macvlan', (inventory) => pf('eth1', inventory).netdev?.uppers.length === 0);
  assert.equal(
    live.current.virtual.some((link) => link.ifname === 'lab-macvlan'),
    false,
  );
});

test('a VF that came while it was followed tells the rings of its interface', async () => {
  await seen('rings', (inventory) => (vf(0, inventory)?.rings?.rx ?? 0) > 0);
  assert.ok((vf(0)?.rings?.rxMax ?? 0) >= (vf(0)?.rings?.rx ?? 0), JSON.stringify(vf(0)?.rings));
  assert.equal(vf(1)?.rings, undefined, 'of one on vfio-pci nobody can know');
});

test('what was followed change by change equals what is read at once', async () => {
  await seen('everything', ({ unread }) => unread.length === 0);
  const followed = live.current;
  const refreshed = await complete(async () => {
    await live.refresh();
    return live.current;
  });
  assert.deepEqual(refreshed, followed);
});

test('a NIC tells its queues, rings, offloads, clock and slot', async () => {
  const nic = pf('eth0');
  assert.ok((nic.queues?.combined ?? 0) >= 1 && (nic.queues?.combinedMax ?? 0) >= 1, JSON.stringify(nic.queues));
  assert.ok((nic.rings?.rx ?? 0) > 0 && (nic.rings?.rxMax ?? 0) >= (nic.rings?.rx ?? 0), JSON.stringify(nic.rings));
  assert.ok(
    nic.offloads?.some((name) => name.startsWith('tx-checksum')),
    nic.offloads?.join(),
  );
  assert.match(nic.ptpClock ?? '', /^\/dev\/ptp[0-9]+$/);
  assert.ok((nic.pcieSlot?.width ?? 0) >= 1, JSON.stringify(nic.pcieSlot));
  assert.equal(existsSync(nic.ptpClock ?? ''), true);
});

test('the counters of every VF can be asked for', async () => {
  const nic = pf('eth0');
  assert.ok(nic.netdev);
  const counters = await reader.vfCounters?.(nic.netdev);
  assert.deepEqual(
    [...(counters?.keys() ?? [])],
    nic.vfs.map((vf) => vf.index),
  );
  assert.equal(typeof counters?.get(0)?.rxBytes, 'number');
});

test('findings name what is so, and nothing else', async () => {
  const found = findingsOf({ inventory: await complete(() => reader.read()), pools: {}, owners: {} });
  const ids = new Set(found.map((finding) => finding.id));
  assert.ok(ids.has('vf-statistics-unsupported'), [...ids].join());
  for (const id of ['iommu-off', 'numa-unknown', 'vf-settings-unsupported', 'pcie-link-degraded', 'facts-unread'])
    assert.equal(ids.has(id), false, id);
});

test('a captured tree tells the same as the node', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-capture-'));
  try {
    let tree = '';
    for (let tries = 0; tries < 10; tries += 1) {
      tree = join(folder, `tree-${tries}`);
      if ((await captureTree('/', tree, liveFacts(host))).notes.length === 0) break;
    }
    const captured = await createNodeReader({ root: tree }).read();
    assert.deepEqual(captured, await complete(() => reader.read()));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a VF that is made again is another incarnation, and one that is left alone is not', async () => {
  const address = addressOf(0);
  const first = await readPciFunction('/', address);
  assert.deepEqual(await readPciFunction('/', address), first);
  assert.equal(first?.pf?.ifname, 'eth0');
  assert.equal(first?.vfIndex, 0);
  setVfs('eth0', 0);
  assert.equal(await readPciFunction('/', address), undefined);
  await seen('no VFs', (inventory) => pf('eth0', inventory).vfs.length === 0);
  setVfs('eth0', 1);
  const second = await readPciFunction('/', address);
  assert.notEqual(second?.incarnation, first?.incarnation);
  await seen('one VF', (inventory) => vf(0, inventory)?.netdev !== undefined);
});

test.run();
