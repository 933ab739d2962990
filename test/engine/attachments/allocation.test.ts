/** A device is its pod's only when kubelet says so, as far as kubelet says anything. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec, PodIdentity } from '../../../src/engine/attachments/model.ts';
import type { PodDevices } from '../../../src/engine/attachments/pod-devices.ts';
import { type BerthError, toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { podDevices } from '../../standins/pod-devices.ts';

const test = suite('allocation');

const pod = (name: string, uid = name): PodIdentity => ({ namespace: 'default', name, uid });

async function failureOf(work: Promise<unknown>): Promise<BerthError | undefined> {
  return work.then(() => undefined, toBerthError);
}

interface Case {
  readonly name: string;
  readonly says: (device: string) => PodDevices | undefined;
  readonly link?: (node: PodNode) => LinkSpec;
  readonly pod?: PodIdentity | null;
  readonly refused?: RegExp;
  readonly offered?: boolean;
}

const SLOT = (): LinkSpec => macvlan({ uplink: 'eth1', slot: 'eth1-3' });

const CASES: readonly Case[] = [
  { name: 'the pod has it', says: (device) => podDevices([[device, 'mine']]) },
  {
    name: 'the pod has it beside another one, which ended a moment ago',
    says: (device) =>
      podDevices([
        [device, 'old'],
        [device, 'mine'],
      ]),
  },
  {
    name: 'a static pod has it, whose uid the runtime does not know',
    says: (device) => podDevices([[device, 'mine']]),
    pod: pod('mine', '9d0b1f0c2f7a4b0f'),
  },
  {
    name: 'another pod has it',
    says: (device) => podDevices([[device, 'other']], ['mine']),
    refused: /kubelet gave it to default\/other \(berth\.dev\/vf\)/,
  },
  {
    name: 'another pod has it, and this one is not listed',
    says: (device) => podDevices([[device, 'other']]),
    refused: /default\/other/,
  },
  {
    name: 'nobody has it, the pod is listed, and some device plugin offers it',
    says: (device) => podDevices([], ['mine'], [device]),
    refused: /kubelet has given it to no pod/,
  },
  {
    name: 'nobody has it, the pod has others, and a pool of ours offers it',
    says: () => podDevices([['0000:99:00.0', 'mine']]),
    offered: true,
    refused: /to no pod/,
  },
  { name: 'no device plugin offers it, so that the administrator names it', says: () => podDevices([], ['mine']) },
  { name: 'the list is empty, as after a restart of kubelet', says: () => podDevices([]) },
  { name: 'kubelet does not answer', says: () => ({ ...podDevices([]), holders: async () => undefined }) },
  { name: 'there is no kubelet', says: () => undefined },
  { name: 'the runtime names no pod', says: () => podDevices([], ['mine']), pod: null },
  { name: 'the slot is the pod’s', says: () => podDevices([['eth1-3', 'mine']]), link: SLOT },
  {
    name: 'the slot is another pod’s',
    says: () => podDevices([['eth1-3', 'other']], ['mine']),
    link: SLOT,
    refused: /eth1-3/,
  },
  {
    name: 'a host device that kubelet gives to nobody',
    says: () => podDevices([], ['mine']),
    link: (node) => ({ kind: 'host-device', device: { by: 'pci', address: node.device(0).address } }),
  },
  {
    name: 'a host device that kubelet gave to another pod',
    says: (device) => podDevices([[device, 'other']], ['mine']),
    link: (node) => ({ kind: 'host-device', device: { by: 'pci', address: node.device(0).address } }),
    refused: /default\/other/,
  },
  {
    name: 'the network names an uplink, which is nobody’s',
    says: () => podDevices([], ['mine']),
    link: () => macvlan(),
  },
];

for (const each of CASES) {
  test(`${each.refused === undefined ? 'given' : 'refused'} when ${each.name}`, async () => {
    const node = createPodNode();
    const link = each.link?.(node) ?? vf(node.device(0));
    node.podDevices = each.says(node.device(0).address);
    if (each.offered === true) node.offered.add(node.device(0).address);
    const before = node.snapshot();
    const who = each.pod === undefined ? { pod: pod('mine') } : each.pod === null ? {} : { pod: each.pod };
    node.world.addSandbox('/run/netns/c1');
    const empty = node.snapshot();
    const failure = await failureOf(node.attach('c1', link, who));
    if (each.refused === undefined) {
      assert.is(failure, undefined, failure?.message);
      assert.is(node.engine.list().length, 1);
      return;
    }
    assert.ok(failure);
    assert.equal([failure.code, failure.reason], ['Denied', 'device-not-allocated']);
    assert.match(failure.message, each.refused);
    assert.is(node.snapshot(), empty);
    assert.not.equal(empty, before);
  });
}

test('an entry that comes a moment after the ADD is waited for', async () => {
  const node = createPodNode();
  let asked = 0;
  const late = podDevices([], ['mine'], [node.device(0).address]);
  const given = podDevices([[node.device(0).address, 'mine']]);
  node.podDevices = { ...given, holders: () => (asked++ < 2 ? late : given).holders() };
  assert.is(await failureOf(node.attach('c1', vf(node.device(0)), { pod: pod('mine') })), undefined);
  assert.is(asked, 3);
});

test('a policy relaxes it: warn lets the ADD through, off does not even ask', async () => {
  const node = createPodNode();
  let asked = 0;
  const other = podDevices([[node.device(0).address, 'other']], ['mine']);
  node.podDevices = {
    ...other,
    holders: () => {
      asked++;
      return other.holders();
    },
  };
  node.allocation = 'warn';
  assert.is(await failureOf(node.attach('c1', vf(node.device(0)), { pod: pod('mine') })), undefined);
  assert.ok(asked > 0);
  await node.detach('c1');
  node.allocation = 'off';
  asked = 0;
  assert.is(await failureOf(node.attach('c2', vf(node.device(0)), { pod: pod('mine') })), undefined);
  assert.is(asked, 0);
});

test('an ADD without a device asks nobody', async () => {
  const node = createPodNode();
  let asked = 0;
  const nobody = podDevices([], ['mine']);
  node.podDevices = {
    ...nobody,
    holders: () => {
      asked++;
      return nobody.holders();
    },
  };
  assert.is(await failureOf(node.attach('c1', macvlan(), { pod: pod('mine') })), undefined);
  assert.is(asked, 0);
});

test.run();
