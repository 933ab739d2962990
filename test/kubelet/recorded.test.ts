/**
 * The front end and the stand-in kubelet against exchanges recorded with a real kubelet: the same
 * calls in the same order, the same lists, the same texts.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { inventory, nic, vf } from '../engine/pools/build.ts';
import { AdmissionError } from '../standins/kubelet/index.ts';
import { pod, RESOURCE, type TestNode, testNode } from './node.ts';

interface Recorded {
  readonly event?: string;
  readonly mark?: string;
  readonly msg?: unknown;
  readonly [key: string]: unknown;
}

function recorded(name: string): readonly Recorded[] {
  const path = new URL(`../fixtures/exchanges/dp-${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, 'utf8')).exchange;
}

/** Names of the recorded events that are kubelet's or a registration's, in order. */
function names(entries: readonly { readonly event?: string }[], among: readonly string[]): readonly string[] {
  return entries.flatMap(({ event }) => (event !== undefined && among.includes(event) ? [event] : []));
}

/** As protojson prints it: fields of value 0, empty lists and absent messages are left out. */
function protojson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(protojson);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).flatMap(([key, field]): [string, unknown][] => {
    if (field === undefined || field === 0 || field === false || field === '') return [];
    if (Array.isArray(field) && field.length === 0) return [];
    return [[key, key === 'ID' && typeof field === 'number' ? String(field) : protojson(field)]];
  });
  return Object.fromEntries(fields);
}

/** Ids in order: kubelet's own order is random. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(sorted);
    return items.every((item) => typeof item === 'string') ? items.toSorted() : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, sorted(field)]));
}

async function withNode(
  body: (node: TestNode) => Promise<void>,
  mode: 'legacy' | 'watcher' = 'watcher',
): Promise<void> {
  const node = await testNode();
  try {
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
    await body(node);
  } finally {
    await node.close();
  }
}

test('legacy registration is Register, options within it, then the stream and the list', async () => {
  const among = ['Register.call', 'GetDevicePluginOptions', 'Register.return', 'ListAndWatch', 'ListAndWatch.send'];
  await withNode(async (node) => {
    assert.deepEqual(names(node.kubelet.events, among), names(recorded('registration-legacy'), among));
    const call = node.kubelet.events.find(({ event }) => event === 'Register.call');
    assert.deepEqual(call?.msg, {
      version: 'v1beta1',
      endpoint: 'berth-rig.example_vf.sock',
      resourceName: RESOURCE,
      options: { preStartRequired: false, getPreferredAllocationAvailable: true },
    });
  }, 'legacy');
});

test('registration by the watcher is GetInfo, options, then the notification and the stream in either order', async () => {
  const among = ['GetInfo', 'GetDevicePluginOptions', 'NotifyRegistrationStatus', 'ListAndWatch', 'ListAndWatch.send'];
  const fixture = recorded('registration-watcher');
  await withNode(async (node) => {
    await node.kubelet.until(() => names(node.kubelet.events, among).length >= 5, 'all five events');
    const seen = names(node.kubelet.events, among);
    const expected = names(fixture, among);
    assert.deepEqual(seen.slice(0, 2), expected.slice(0, 2));
    assert.deepEqual(seen.toSorted(), expected.toSorted());
    assert.ok(seen.indexOf('ListAndWatch') < seen.indexOf('ListAndWatch.send'));
    const sent = node.kubelet.events.find(({ event }) => event === 'ListAndWatch.send')?.msg;
    assert.deepEqual(protojson(sent), fixture.find(({ event }) => event === 'ListAndWatch.send')?.msg);
  });
});

test('admission is a preference and one Allocate a container, and PodResources lists it', async () => {
  const among = ['GetPreferredAllocation', 'GetPreferredAllocation.answer', 'Allocate'];
  const fixture = recorded('admission-and-podresources');
  await withNode(async (node) => {
    for (const [name, count] of [
      ['p1', 1],
      ['p2', 2],
    ] as const) {
      await node.kubelet.admit(pod(name, count));
    }
    assert.deepEqual(names(node.kubelet.events, among), names(fixture, among));
    const [first] = node.kubelet.events.filter(({ event }) => event === 'GetPreferredAllocation');
    const [recordedFirst] = fixture.filter(({ event }) => event === 'GetPreferredAllocation');
    assert.deepEqual(sorted(protojson(first?.msg)), sorted(recordedFirst?.msg));
  });
});

test('the device of an init container must be included for the container that follows', async () => {
  const fixture = recorded('init-container-must-include').filter(({ event }) => event === 'GetPreferredAllocation');
  await withNode(async (node) => {
    await node.kubelet.admit({
      namespace: 'default',
      name: 'd6',
      initContainers: [{ name: 'init', resources: { [RESOURCE]: 1 } }],
      containers: [{ name: 'main', resources: { [RESOURCE]: 2 } }],
    });
    const seen = node.kubelet.events.filter(({ event }) => event === 'GetPreferredAllocation');
    assert.deepEqual(
      seen.map(({ msg }) => sorted(protojson(msg))),
      fixture.map(({ msg }) => sorted(msg)),
    );
  });
});

test('without enough devices the pod is rejected in the words of kubelet', async () => {
  const entry = recorded('not-enough-devices').find((candidate) => candidate.pod === 'd3b');
  await withNode(async (node) => {
    await node.kubelet.admit(pod('d3a', 4));
    await assert.rejects(node.kubelet.admit(pod('d3b', 1)), rejection(entry?.status));
  });
});

test('unhealthy devices keep capacity and leave allocatable, and a device not listed leaves both', async () => {
  const fixture = recorded('unhealthy');
  const counts = fixture.find((entry) => entry['node capacity,allocatable'] !== undefined)?.[
    'node capacity,allocatable'
  ];
  const facts = (index: number) => ({ numaNode: index < 2 ? 0 : 1 });
  const four = [0, 1, 2, 3].map((index) => vf(index, facts(index)));
  const states: Record<string, Inventory> = {
    // One VF is unhealthy when its driver is gone.
    'one Unhealthy': inventory([
      nic(
        'eth0',
        four.map((entry, at) => (at === 0 ? withoutDriver(entry) : entry)),
      ),
    ]),
    'all Unhealthy': inventory([nic('eth0', four, {}, { carrier: false })]),
    'healthy again': inventory([nic('eth0', four)]),
    'one not listed': inventory([nic('eth0', four.slice(0, 3))]),
  };
  await withNode(async (node) => {
    const seen: Record<string, readonly string[]> = {};
    for (const [name, state] of Object.entries(states)) {
      const lists = (): number => node.kubelet.events.filter(({ event }) => event === 'ListAndWatch.send').length;
      const before = lists();
      node.pools.update({ inventory: state });
      await node.kubelet.until(() => lists() > before, `a list for ${name}`);
      const { capacity, allocatable } = node.kubelet.node();
      seen[name] = [String(capacity[RESOURCE]), String(allocatable[RESOURCE])];
    }
    assert.deepEqual(seen, counts);
    const sent = node.kubelet.events
      .filter(({ event }) => event === 'ListAndWatch.send')
      .map(({ msg }) => protojson(msg));
    const expected = fixture.filter(({ event }) => event === 'ListAndWatch.send').map(({ msg }) => msg);
    assert.deepEqual(sent.slice(1), expected.slice(0, 4));
  });
});

function withoutDriver(from: ReturnType<typeof vf>): ReturnType<typeof vf> {
  const { driver: _driver, netdev: _netdev, ifname: _ifname, ...rest } = from;
  return rest;
}

test('a pod is rejected in the words of kubelet when all devices are unhealthy', async () => {
  const entry = recorded('unhealthy').find(
    (candidate) => candidate['pod d4b with nodeName while all are Unhealthy'] !== undefined,
  );
  const expected = entry?.['pod d4b with nodeName while all are Unhealthy'];
  await withNode(async (node) => {
    node.pools.update({ inventory: inventory([nic('eth0', [vf(0)], {}, { carrier: false })]) });
    await node.allocatable(0);
    await assert.rejects(node.kubelet.admit(pod('d4b', 1)), rejection(expected));
  });
});

test('while the plugin is gone capacity stays, allocatable is none and pods are rejected', async () => {
  const fixture = recorded('plugin-stop-and-kubelet-restart');
  const expected = fixture.find((entry) => entry['node capacity,allocatable 5 s after the stop'] !== undefined);
  const rejected = fixture.find((entry) => entry.d8b !== undefined)?.d8b;
  const node = await testNode();
  try {
    const frontEnd = node.frontEnd();
    await frontEnd.start();
    await node.allocatable(4);
    await frontEnd.stop();
    await node.allocatable(0);
    const { capacity, allocatable } = node.kubelet.node();
    assert.deepEqual(
      [String(capacity[RESOURCE]), String(allocatable[RESOURCE])],
      expected?.['node capacity,allocatable 5 s after the stop'],
    );
    await assert.rejects(node.kubelet.admit(pod('d8b', 1)), rejection(rejected));
  } finally {
    await node.close();
  }
});

test('an error of Allocate reaches the pod in the words of kubelet', async () => {
  await withNode(async (node) => {
    // Kubelet still knows all four while the node has lost one.
    const remaining = inventory([nic('eth0', [vf(0)])]);
    const list = node.kubelet.events.filter(({ event }) => event === 'ListAndWatch.send').length;
    assert.equal(list, 1);
    node.pools.update({ inventory: remaining });
    await assert.rejects(
      node.kubelet.admit(pod('d10', 4)),
      (error) =>
        error instanceof AdmissionError &&
        /^Pod was rejected: Allocate failed due to rpc error: code = NotFound desc = device 0000:41:10\.1 of rig\.example\/vf is not in the pool; .*, which is unexpected$/.test(
          error.message,
        ),
    );
  });
});

/** The rejection has the message of a recorded pod's status. */
function rejection(status: unknown): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof AdmissionError);
    assert.ok(typeof status === 'object' && status !== null && 'message' in status);
    assert.equal(error.message, status.message);
    return true;
  };
}

test.run();
