/** STATUS tells whether an ADD could succeed, as far as the concerns that count. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AttachmentSummary } from '../../src/engine/attachments/model.ts';
import { BerthError, toBerthError } from '../../src/engine/errors.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import type { HostLocalSpec } from '../../src/engine/ipam/model.ts';
import type { Plan, PoolDevice } from '../../src/engine/pools/model.ts';
import { type Concern, type ReadinessQuestion, requireReady } from '../../src/engine/readiness.ts';
import { parseNetworkName } from '../../src/engine/values.ts';
import { MemoryReservations } from '../standins/memory-stores.ts';

const test = suite('readiness');
const ALL: readonly Concern[] = ['uplink', 'devices', 'addresses'];
const network = parseNetworkName('net-a');
const macvlan: ReadinessQuestion = {
  network,
  kind: 'macvlan',
  link: { kind: 'macvlan', uplink: 'eth1', mode: 'bridge' },
  concerns: ALL,
};
const vf: ReadinessQuestion = { network, kind: 'vf', concerns: ALL };

interface Node {
  readonly vfs?: number;
  readonly pfNetdev?: boolean;
  readonly devices?: readonly Pick<PoolDevice, 'id' | 'healthy' | 'reason'>[];
  readonly used?: readonly string[];
  readonly uplinks?: readonly string[];
  readonly reserved?: readonly string[];
}

/** Only what readiness reads of an inventory and a plan. */
async function reasonOf(question: ReadinessQuestion, node: Node): Promise<string | undefined> {
  const reservations = new MemoryReservations();
  const folder = reservations.folder('/var/lib/cni/networks/net-a');
  for (const ip of node.reserved ?? []) folder.reserve(ip, 'somebody');
  const nic = { vfs: Array.from({ length: node.vfs ?? 0 }), ...(node.pfNetdev === false ? {} : { netdev: {} }) };
  const inventory = { nics: [nic] } as unknown as Inventory;
  const pools = [{ spec: { kind: question.kind, resource: 'berth.dev/it' }, devices: node.devices ?? [], notes: [] }];
  const work = requireReady(
    question,
    {
      inventory: () => inventory,
      plan: () => ({ pools, unused: [] }) as unknown as Plan,
      attachments: () => (node.used ?? []).map((device) => ({ device }) as AttachmentSummary),
      resolve: async (link) => {
        const uplink = 'uplink' in link ? (link.uplink ?? '') : '';
        if (!(node.uplinks ?? []).includes(uplink))
          throw new BerthError({ code: 'NotFound', reason: 'uplink-missing', message: uplink });
      },
      reservations,
    },
    new AbortController().signal,
  );
  return work.then(
    () => undefined,
    (error: unknown) => toBerthError(error).reason,
  );
}

const FREE = { id: '0000:41:10.0', healthy: true };
const RANGE: HostLocalSpec = {
  type: 'host-local',
  rangeSets: [[{ subnet: '10.1.0.0/29', rangeStart: '10.1.0.2', rangeEnd: '10.1.0.4' }]],
  routes: [],
  dataDir: '/var/lib/cni/networks',
  requested: [],
  dns: {},
};

const CASES: readonly (readonly [string, ReadinessQuestion, Node, string | undefined])[] = [
  ['a VF is free', vf, { vfs: 1, devices: [FREE] }, undefined],
  ['there is no VF', vf, { devices: [FREE] }, 'no-vfs'],
  ['the PF of the VFs has no interface', vf, { vfs: 1, pfNetdev: false, devices: [FREE] }, 'no-vfs'],
  ['every VF is in use', vf, { vfs: 1, devices: [FREE], used: [FREE.id] }, 'no-free-device'],
  [
    'every VF is unhealthy',
    vf,
    { vfs: 1, devices: [{ ...FREE, healthy: false, reason: 'no carrier' }] },
    'no-free-device',
  ],
  ['no VF is offered', vf, { vfs: 1 }, 'no-free-device'],
  ['the uplink is there', macvlan, { uplinks: ['eth1'] }, undefined],
  ['the uplink is not there', macvlan, { uplinks: ['eth0'] }, 'uplink-missing'],
  [
    'an address is free',
    { ...macvlan, ipam: RANGE },
    { uplinks: ['eth1'], reserved: ['10.1.0.2', '10.1.0.3'] },
    undefined,
  ],
  [
    'every address is taken',
    { ...macvlan, ipam: RANGE },
    { uplinks: ['eth1'], reserved: ['10.1.0.2', '10.1.0.3', '10.1.0.4'] },
    'address-range-exhausted',
  ],
  [
    'only the gateway is left',
    {
      ...macvlan,
      ipam: { ...RANGE, rangeSets: [[{ subnet: '10.1.0.0/29', rangeStart: '10.1.0.1', rangeEnd: '10.1.0.2' }]] },
    },
    { uplinks: ['eth1'], reserved: ['10.1.0.2'] },
    'address-range-exhausted',
  ],
];

for (const [what, question, node, expected] of CASES) {
  test(`${expected === undefined ? 'ready' : 'not ready'} when ${what}`, async () => {
    assert.is(await reasonOf(question, node), expected);
  });
}

test('a concern that does not count is not looked at', async () => {
  assert.is(await reasonOf({ ...vf, concerns: [] }, {}), undefined);
  assert.is(await reasonOf({ ...vf, concerns: ['uplink'] }, { vfs: 1 }), undefined);
  assert.is(await reasonOf({ ...macvlan, concerns: ['addresses'] }, {}), undefined);
});

test('slots of a pool stand for an uplink that the network does not name', async () => {
  const unnamed: ReadinessQuestion = { ...macvlan, link: { kind: 'macvlan', mode: 'bridge' } };
  assert.is(await reasonOf(unnamed, { devices: [{ id: 'eth1-0', healthy: true }] }), undefined);
  assert.is(await reasonOf(unnamed, {}), 'uplink-missing');
});

test.run();
