/**
 * The promise of the whole engine, at every step of every kind: an ADD that fails, or an agent that
 * is killed, leaves the node as it was; so does a DEL that fails or is killed, once it is repeated.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { MacAddress } from '../../../src/engine/values.ts';
import {
  createPodNode,
  hostDevice,
  hostLocal,
  ipvlan,
  macvlan,
  macvtap,
  type PodNode,
  vf,
  vlan,
} from '../../standins/attachment-node.ts';
import type { Step } from '../../standins/fake-kernel.ts';
import { kernelError, linkOf, settingsOf, type WorldLink, type WorldNamespace } from '../../standins/fake-world.ts';
import { pool } from '../../standins/memory-ipam.ts';

const test = suite('every step');

interface Kind {
  readonly name: string;
  readonly ready?: (node: PodNode) => unknown;
  attach(node: PodNode): Promise<unknown>;
}

const MAC = '02:aa:bb:cc:dd:01' as MacAddress;
const SETTINGS = {
  vlan: 100,
  vlanQos: 3,
  maxTxRateMbps: 500,
  spoofCheck: false,
  trust: true,
  linkState: 'enable',
  mac: MAC,
  mtu: 1400,
} as const;

/** A device with everything that a node may have configured on it. */
function furnish({ world }: PodNode): WorldLink {
  return world.addLink(world.host, {
    name: 'nic0',
    up: true,
    mtu: 9000,
    alias: 'rack 7',
    addresses: [{ address: '198.51.100.7/24', family: 4, scope: 'global', tentative: false, dadFailed: false }],
    routes: [{ dst: '203.0.113.0/24', gateway: '198.51.100.1' }],
  });
}

const kinds: readonly Kind[] = [
  { name: 'macvlan', attach: (node) => node.attach('c1', macvlan({ mac: MAC })) },
  { name: 'ipvlan', attach: (node) => node.attach('c1', ipvlan()) },
  { name: 'ipvlan with IPv6', attach: (node) => node.attach('c1', ipvlan(), { ipam: hostLocal('fd00:1::/64', []) }) },
  { name: 'macvlan on a shared VLAN', attach: (node) => node.attach('c1', macvlan({ uplinkVlan: 100 })) },
  {
    name: 'ipvlan on a link of the sandbox',
    ready: (node) => {
      const sandbox = node.world.paths.get('/run/netns/c1');
      if (sandbox !== undefined) node.world.addLink(sandbox, { name: 'inner', up: true });
    },
    attach: (node) => node.attach('c1', ipvlan({ uplink: 'inner', uplinkInSandbox: true })),
  },
  { name: 'VLAN', attach: (node) => node.attach('c1', vlan()) },
  { name: 'macvlan with an IPAM program', attach: (node) => node.attach('c1', macvlan(), { ipam: pool() }) },
  {
    name: 'macvlan that is probed for',
    attach: (node) => node.attach('c1', macvlan(), { detectDuplicates: true }),
  },
  { name: 'VF with an IPAM program', attach: (node) => node.attach('c1', vf(node.device(1)), { ipam: pool() }) },
  { name: 'macvtap', attach: (node) => node.attach('c1', macvtap({ slot: 'eth1-3', mac: MAC, promiscuous: true })) },
  {
    name: 'macvtap that a device plugin made',
    ready: (node) => {
      const parent = node.world.byName(node.world.host, 'eth1') as WorldLink;
      node.world.addLink(node.world.host, { name: 'dpMvp0', kind: 'macvtap', parent, parentIndex: parent.index });
    },
    attach: (node) => node.attach('c1', macvtap({ given: 'dpMvp0', mtu: 1400 })),
  },
  {
    name: 'host device',
    ready: furnish,
    attach: (node) => node.attach('c1', { ...hostDevice(), mac: MAC }),
  },
  {
    name: 'host device whose index the sandbox has',
    ready: (node) => {
      const { index } = furnish(node);
      const sandbox = node.world.paths.get('/run/netns/c1') as WorldNamespace;
      while (sandbox.nextIndex <= index)
        node.world.addLink(sandbox, { name: `veth${sandbox.nextIndex}`, kind: 'veth' });
    },
    attach: (node) => node.attach('c1', { ...hostDevice(), mac: MAC }),
  },
  { name: 'VF', attach: (node) => node.attach('c1', vf(node.device(1))) },
  { name: 'VF with every setting', attach: (node) => node.attach('c1', vf(node.device(1), SETTINGS)) },
  {
    name: 'used VF with an administrative MAC, up before',
    ready: (node) => {
      const device = node.device(1);
      device.used = true;
      device.macLocked = true;
      settingsOf(device).mac = linkOf(device).mac as MacAddress;
      linkOf(device).up = true;
    },
    attach: (node) => node.attach('c1', vf(node.device(1), SETTINGS)),
  },
  {
    name: 'InfiniBand VF with a GUID and its RDMA device',
    ready: (node) => {
      const device = node.device(1);
      const guid = '02:00:00:00:00:00:00:01';
      linkOf(device).mac = `00:00:01:07:fe:80:00:00:00:00:00:00:${guid}` as MacAddress;
      Object.assign(settingsOf(device), { nodeGuid: guid, portGuid: guid });
      node.world.rdmaMode = 'exclusive';
      node.world.rdma.set('mlx5_3', { pci: device.address, at: node.world.host });
    },
    attach: (node) => node.attach('c1', vf(node.device(1), { guid: '02:00:00:00:00:00:00:99', rdma: 'required' })),
  },
  {
    name: 'VF on vfio-pci',
    ready: (node) => {
      const device = node.device(1);
      device.driver = 'vfio-pci';
      node.world.host.links.delete(linkOf(device).index);
      delete device.link;
    },
    attach: (node) => node.attach('c1', vf(node.device(1), { vlan: 7, mac: MAC, trust: true })),
  },
];

/** A node that is ready for the kind, with the sandbox made and a foreign interface in it. */
function prepared(kind: Kind): { node: PodNode; before: string } {
  const node = createPodNode();
  node.world.addLink(node.world.addSandbox('/run/netns/c1'), { name: 'eth0', kind: 'veth' });
  kind.ready?.(node);
  return { node, before: node.snapshot() };
}

async function stepsOf(node: PodNode, work: () => Promise<unknown>): Promise<number> {
  let last = 0;
  node.kernel.intercept((step) => {
    last = step.number;
  });
  await work();
  node.kernel.intercept(undefined);
  return last;
}

function failAt(number: number, when: Step['when']): (step: Step) => void {
  return (step) => {
    if (step.number === number && step.when === when) throw kernelError(step.what, 'EIO', 'injected');
  };
}

/** Hangs at the step, as a killed process does; resolves when it is there. */
function killAt(node: PodNode, number: number, when: Step['when']): Promise<void> {
  return new Promise((killed) => {
    node.kernel.intercept((step) => {
      if (step.number < number || (step.number === number && step.when !== when && when === 'after')) return undefined;
      killed();
      return new Promise<void>(() => undefined);
    });
  });
}

async function outcome(work: Promise<unknown>): Promise<Error | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return toBerthError(error);
  }
}

for (const kind of kinds) {
  test(`${kind.name}: ADD and DEL leave the node as it was`, async () => {
    const { node, before } = prepared(kind);
    await kind.attach(node);
    assert.is.not(node.snapshot(), before);
    await node.detach('c1');
    assert.is(node.snapshot(), before);
    await node.detach('c1');
    assert.is(node.snapshot(), before);
    assert.is(node.kernel.openHandles, 0);
  });

  for (const when of ['before', 'after'] as const) {
    test(`${kind.name}: an ADD that fails ${when} any step leaves the node as it was`, async () => {
      const probe = prepared(kind).node;
      const steps = await stepsOf(probe, () => kind.attach(probe));
      assert.ok(steps > 5);
      let failures = 0;
      for (let number = 1; number <= steps; number += 1) {
        const { node, before } = prepared(kind);
        node.kernel.intercept(failAt(number, when));
        const error = await outcome(kind.attach(node));
        node.kernel.intercept(undefined);
        // An announcement, ndisc_notify or a MAC refused in one order may fail without failing the ADD.
        if (error === undefined) await node.detach('c1');
        else failures += 1;
        assert.is(node.snapshot(), before, `step ${number} of ${steps}: ${error?.message ?? 'tolerated'}`);
        assert.is(node.kernel.openHandles, 0, `step ${number} leaves a namespace open`);
      }
      assert.ok(failures > steps / 2, `${failures} of ${steps} steps failed the ADD`);
    });

    test(`${kind.name}: an agent killed ${when} any step of an ADD is recovered from`, async () => {
      const probe = prepared(kind).node;
      const steps = await stepsOf(probe, () => kind.attach(probe));
      for (let number = 1; number <= steps; number += 1) {
        const { node, before } = prepared(kind);
        const killed = killAt(node, number, when);
        kind.attach(node).catch(() => undefined);
        await killed;
        const report = await node.restart().recover();
        assert.equal(report.stuck, [], `step ${number}`);
        assert.is(node.snapshot(), before, `step ${number} of ${steps}`);
        assert.ok((await kind.attach(node)) !== undefined, 'and a retry succeeds');
        await node.detach('c1');
        assert.is(node.snapshot(), before, `step ${number} of ${steps}, after the retry`);
      }
    });

    test(`${kind.name}: a DEL that fails ${when} any step is completed by the next DEL`, async () => {
      const probe = prepared(kind).node;
      await kind.attach(probe);
      const steps = await stepsOf(probe, () => probe.detach('c1'));
      for (let number = 1; number <= steps; number += 1) {
        const { node, before } = prepared(kind);
        await kind.attach(node);
        node.kernel.intercept(failAt(number, when));
        const error = await outcome(node.detach('c1'));
        node.kernel.intercept(undefined);
        if (error !== undefined) {
          const row = node.engine.list()[0];
          assert.is(row?.state, 'stuck', `step ${number}: the record stays`);
          assert.ok(row?.problem);
          await node.detach('c1');
        }
        assert.is(node.snapshot(), before, `step ${number} of ${steps}: ${error?.message ?? 'tolerated'}`);
        await node.engine.stop();
      }
    });

    test(`${kind.name}: an agent killed ${when} any step of a DEL completes it when it is back`, async () => {
      const probe = prepared(kind).node;
      await kind.attach(probe);
      const steps = await stepsOf(probe, () => probe.detach('c1'));
      for (let number = 1; number <= steps; number += 1) {
        const { node, before } = prepared(kind);
        await kind.attach(node);
        const killed = killAt(node, number, when);
        node.detach('c1').catch(() => undefined);
        await killed;
        await node.restart().recover();
        assert.is(node.snapshot(), before, `step ${number} of ${steps}`);
      }
    });
  }

  test(`${kind.name}: an ADD whose record cannot be written leaves the node as it was`, async () => {
    for (const number of [1, 2]) {
      const { node, before } = prepared(kind);
      node.records.failing.add(number);
      const error = await outcome(kind.attach(node));
      assert.is(toBerthError(error).reason, 'record-write-failed');
      assert.is(node.snapshot(), before, `write ${number}`);
    }
  });
}

test.run();
