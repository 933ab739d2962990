import assert from 'node:assert/strict';
import { test } from 'uvu';
import { renderPlan } from '../../src/cli/plan-output.ts';
import type { PlanReport } from '../../src/engine/pools/plan-report.ts';
import { parsePciAddress } from '../../src/engine/values.ts';

function vfs(pf: string, bus: string, indexes: readonly number[], facts: object = {}) {
  return indexes.map((vf) => {
    const id = parsePciAddress(`0000:${bus}:02.${vf}`);
    return { id, pci: id, healthy: true, numaNode: 0, pf, vf, ifname: `${pf}v${vf}`, ...facts };
  });
}

const slots = (count: number) =>
  Array.from({ length: count }, (_, slot) => ({ id: `eth2-${slot}`, healthy: true, uplink: 'eth2' }));

const base = { origin: 'b.yaml:2', notes: [] };

const report: PlanReport = {
  node: 'worker-1',
  pools: [
    {
      ...base,
      resource: 'berth.dev/fast',
      kind: 'vf',
      namespaces: ['team-a'],
      devices: [...vfs('eth0', '10', [0, 1, 3]), ...vfs('eth1', '11', [0], { healthy: false, reason: 'eth1 is down' })],
    },
    { ...base, resource: 'berth.dev/late', kind: 'vf', devices: [] },
    { ...base, resource: 'berth.dev/empty', kind: 'vf', devices: [] },
    { ...base, resource: 'berth.dev/macvlan', kind: 'macvlan', devices: slots(3), notes: ['no eth9 here'] },
  ],
  unused: [
    ...[5, 6].map((vf) => ({
      address: parsePciAddress(`0000:10:02.${vf}`),
      pf: 'eth0',
      vf,
      reasons: [`berth.dev/fast: pfNames: VF ${vf} is not in eth0#0-3`, 'berth.dev/late: other'],
    })),
    { ifname: 'bond0', reasons: ['no pool is configured for it'] },
  ],
  overlaps: [0, 1].map((vf) => ({
    device: `0000:10:02.${vf}`,
    pf: 'eth0',
    vf,
    winner: 'berth.dev/fast',
    losers: [{ resource: 'berth.dev/late', why: `VF ${vf} of eth0` }],
  })),
};

const changed: PlanReport = {
  ...report,
  changes: {
    resources: { appearing: ['berth.dev/fast'], disappearing: ['berth.dev/old'] },
    devices: [
      { device: '0000:10:02.0', pf: 'eth0', vf: 0, from: 'berth.dev/old', to: 'berth.dev/fast' },
      { device: '0000:10:02.1', pf: 'eth0', vf: 1, from: 'berth.dev/old', to: 'berth.dev/fast' },
      { device: 'eth2', from: 'berth.dev/macvlan', to: 'berth.dev/macvlan', slots: { before: 100, after: 3 } },
      { device: '0000:10:02.5', pf: 'eth0', vf: 5, from: 'berth.dev/old' },
    ],
    pods: [
      {
        pod: 'team-b/we\u001bb',
        containerId: 'c1',
        interface: 'net1',
        device: '0000:10:02.5',
        pf: 'eth0',
        vf: 5,
        from: 'berth.dev/old',
        note: 'it keeps it',
      },
    ],
  },
};

test('VFs of one PF with the same to say are one line, and an empty pool says who has what it wants', () => {
  assert.equal(
    renderPlan(report, 'table'),
    `RESOURCE            DEVICES   WHICH                   NUMA   NOTE
berth.dev/fast      3         eth0#0-1,3              0      for namespaces team-a
                    1         eth1#0 (0000:11:02.0)   0      unhealthy: eth1 is down
berth.dev/late      0         -                       -      berth.dev/fast has all 2 devices that it selects
berth.dev/empty     0         -                       -      no device matches
berth.dev/macvlan   3         slots of eth2           -      no eth9 here

Wanted by several pools:
DEVICE     HAS IT           WANTS IT TOO
eth0#0-1   berth.dev/fast   berth.dev/late (the VF of eth0)

In no pool:
DEVICE     WHY
eth0#5-6   berth.dev/fast: pfNames: the VF is not in eth0#0-3
           berth.dev/late: other
bond0      no pool is configured for it
`,
  );
});

test('changes name the resources, the devices on their way, and the pods that have them', () => {
  const text = renderPlan(changed, 'table');
  assert.equal(
    text.slice(text.indexOf('\nResources that')),
    `
Resources that change against the running configuration:
+ berth.dev/fast appears
- berth.dev/old disappears, and pods that ask for it are not scheduled any more

Devices that change against the running configuration:
DEVICE                  NOW                             THEN
eth0#0-1                berth.dev/old                   berth.dev/fast
eth2                    berth.dev/macvlan (100 slots)   berth.dev/macvlan (3 slots)
eth0#5 (0000:10:02.5)   berth.dev/old                   no pool

Pods concerned:
POD           INTERFACE   DEVICE                  WHAT
team-b/we?b   net1        eth0#5 (0000:10:02.5)   it keeps it
`,
  );
});

test('wide has a line for each device, but not for each slot', () => {
  const text = renderPlan(changed, 'wide');
  for (const line of [
    /eth0#0 \(0000:10:02\.0\) +0 +for namespaces/,
    /eth0#6 \(0000:10:02\.6\) +berth\.dev\/fast: pfNames: VF 6/,
  ]) {
    assert.match(text, line);
  }
  assert.equal(text.match(/slots of eth2/g)?.length, 1);
});

test('a configuration that changes nothing says so', () => {
  const nothing = { resources: { appearing: [], disappearing: [] }, devices: [], pods: [] };
  assert.match(
    renderPlan({ ...report, changes: nothing }, 'table', 'old.yaml'),
    /\nNothing changes against old\.yaml\.\n$/,
  );
});

test.run();
