import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { test } from 'uvu';
import { silentLogger } from '../../../src/engine/logger.ts';
import type { AllocationPolicy } from '../../../src/engine/pools/model.ts';
import { createPoolSet } from '../../../src/engine/pools/pool-set.ts';
import { type PreferredRequest, preferDevices } from '../../../src/engine/pools/preferred.ts';
import { parseSlot } from '../../../src/engine/pools/slot.ts';
import type { DeviceTraits } from '../../../src/engine/pools/traits.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { inventory, nic, vf, vfSpec } from './build.ts';

/** `1r2a-3`: NUMA node 1, PCIe root r2, PF a, number 3; `a-3` is of PF a alone. Devices end in when they were used: `a-3@7`. */
function traits(id: string): DeviceTraits | undefined {
  const [, numa, root, parent, number] = /^(?:(\d)r(\d))?([a-z])-(\d+)(?:@\d+)?$/.exec(id) ?? [];
  if (parent === undefined) return undefined;
  const place = numa === undefined ? {} : { numaNode: Number(numa), pcieRoot: `r${root}` };
  const order = parent.charCodeAt(0) * 1000 + Number(number);
  return { id, order, parent, ...place };
}

const lastUse = (id: string): number => Number(id.split('@')[1] ?? 0);

function prefer(request: Omit<PreferredRequest, 'traitsOf' | 'lastUse'>): readonly string[] {
  return preferDevices({ ...request, traitsOf: traits, lastUse });
}

type Case = readonly [string, AllocationPolicy, readonly string[], readonly string[], number, readonly string[]];
const cases: readonly Case[] = [
  ['the fullest NIC that suffices is packed', 'packed', ['a-1', 'a-2', 'a-3', 'b-1'], [], 1, ['b-1']],
  ['two devices come from one NIC', 'packed', ['a-1', 'b-1', 'a-2', 'a-3'], [], 2, ['a-1', 'a-2']],
  ['devices join the NIC of the must', 'packed', ['a-1', 'b-1', 'b-2', 'b-3'], ['b-3'], 2, ['b-3', 'b-1']],
  ['when no NIC suffices the largest comes first', 'packed', ['a-1', 'b-1', 'b-2'], [], 3, ['b-1', 'b-2', 'a-1']],
  ['too few devices are answered with what there is', 'packed', ['a-1'], [], 3, ['a-1']],
  ['no device is an empty answer', 'packed', [], [], 1, []],
  ['more that must be included than fit are cut', 'packed', ['a-1', 'a-2'], ['a-2', 'a-1'], 1, ['a-1']],
  ['numbers are ordered as numbers', 'packed', ['a-10', 'a-9'], [], 1, ['a-9']],
  ['ids of no pool are a group of their own', 'packed', ['y', 'x', 'a-1'], [], 3, ['x', 'y', 'a-1']],
  ['a negative size is none', 'packed', ['a-1'], [], -1, []],
  ['spread takes one of each NIC', 'spread', ['a-1', 'a-2', 'b-1', 'b-2', 'c-1'], [], 3, ['a-1', 'b-1', 'c-1']],
  ['spread goes round again', 'spread', ['a-1', 'a-2', 'b-1', 'b-2'], [], 3, ['a-1', 'b-1', 'a-2']],
  ['spread begins with the emptiest NIC', 'spread', ['a-1', 'b-1', 'b-2'], [], 1, ['b-1']],
  ['spread leaves out the NIC of the must', 'spread', ['a-1', 'a-2', 'a-3', 'b-1'], ['a-1'], 2, ['a-1', 'b-1']],
  ['aligned stays on a NUMA node', 'aligned', ['0r1a-1', '1r2b-1', '1r3c-1'], [], 2, ['1r2b-1', '1r3c-1']],
  ['aligned stays below a PCIe root', 'aligned', ['0r1a-1', '0r2b-1', '0r2c-1'], [], 2, ['0r2b-1', '0r2c-1']],
  ['aligned stays on a PF', 'aligned', ['0r1a-1', '0r1b-1', '0r1b-2'], [], 2, ['0r1b-1', '0r1b-2']],
  [
    'aligned joins the NUMA node of the must',
    'aligned',
    ['0r1a-1', '0r1a-2', '1r2b-1'],
    ['1r2c-1'],
    2,
    ['1r2c-1', '1r2b-1'],
  ],
  ['what was never used comes first', 'least-used', ['a-1@3', 'a-2', 'b-1@1'], [], 2, ['a-2', 'b-1@1']],
  ['then what was used longest ago', 'least-used', ['a-1@3', 'b-1@1', 'b-2@2'], [], 2, ['b-1@1', 'b-2@2']],
  ['of equals the first', 'least-used', ['b-2', 'a-1', 'b-1'], [], 2, ['a-1', 'b-1']],
];
for (const [name, policy, available, mustInclude, size, expected] of cases) {
  test(`${policy}: ${name}`, () => assert.deepEqual(prefer({ policy, available, mustInclude, size }), expected));
}

const someDevice = fc
  .tuple(fc.nat(1), fc.nat(2), fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(9), fc.nat(5))
  // A PF has one place.
  .map(([, , pf, n, used]) => {
    const at = pf.charCodeAt(0) - 97;
    return `${at >> 1}r${at}${pf}-${n}${used === 0 ? '' : `@${used}`}`;
  });
const someDevices = fc.uniqueArray(someDevice, { minLength: 1, maxLength: 40, selector: (id) => id.split('@')[0] });
const policies: readonly AllocationPolicy[] = ['packed', 'spread', 'aligned', 'least-used'];

function counted(ids: readonly string[], of: (id: string) => unknown): number {
  return new Set(ids.map(of)).size;
}
const pfOf = (id: string): unknown => traits(id)?.parent;
const numaOf = (id: string): unknown => traits(id)?.numaNode;

for (const policy of policies) {
  test(`${policy}: the size is honoured, so are those that must be included, and the order does not matter`, () => {
    fc.assert(
      fc.property(someDevices, fc.nat(6), fc.nat(8), fc.integer(), (available, must, extra, seed) => {
        const mustInclude = available.slice(0, must);
        const size = Math.min(available.length, mustInclude.length + extra);
        const answer = prefer({ policy, available, mustInclude, size });
        assert.equal(answer.length, size);
        assert.equal(new Set(answer).size, size);
        for (const id of mustInclude) assert.ok(answer.includes(id));
        for (const id of answer) assert.ok(available.includes(id));
        const other = available.toSorted((a, b) => ((a.length * seed) ^ b.length) % 3 || (a < b ? 1 : -1));
        const again = prefer({
          policy,
          available: other,
          mustInclude: mustInclude.toReversed(),
          size,
        });
        assert.deepEqual(again, answer);
      }),
    );
  });
}

test('packed: as few PFs as possible', () => {
  fc.assert(
    fc.property(someDevices, fc.integer({ min: 1, max: 12 }), (available, wanted) => {
      const size = Math.min(wanted, available.length);
      const answer = prefer({ policy: 'packed', available, mustInclude: [], size });
      const sizes = [...Map.groupBy(available, pfOf).values()].map((ids) => ids.length).sort((a, b) => b - a);
      let least = 0;
      for (let left = size; left > 0; least++) left -= sizes[least] ?? 0;
      assert.equal(counted(answer, pfOf), least);
    }),
  );
});

test('spread: no PF gives two more than another that has some left', () => {
  fc.assert(
    fc.property(someDevices, fc.integer({ min: 1, max: 12 }), (available, size) => {
      const answer = prefer({ policy: 'spread', available, mustInclude: [], size });
      const given = (pf: unknown): number => answer.filter((id) => pfOf(id) === pf).length;
      const most = Math.max(...available.map((id) => given(pfOf(id))));
      for (const id of available) if (!answer.includes(id)) assert.ok(given(pfOf(id)) >= most - 1);
    }),
  );
});

test('aligned: one NUMA node whenever one suffices', () => {
  fc.assert(
    fc.property(someDevices, fc.integer({ min: 1, max: 12 }), (available, size) => {
      const largest = Math.max(...[...Map.groupBy(available, numaOf).values()].map((ids) => ids.length));
      if (largest < size) return;
      const answer = prefer({ policy: 'aligned', available, mustInclude: [], size });
      assert.equal(counted(answer, numaOf), 1);
    }),
  );
});

test('least-used: nobody is passed over for one that was used later', () => {
  fc.assert(
    fc.property(someDevices, fc.integer({ min: 1, max: 12 }), (available, size) => {
      const answer = prefer({ policy: 'least-used', available, mustInclude: [], size });
      const latest = Math.max(...answer.map(lastUse));
      for (const id of available) if (!answer.includes(id)) assert.ok(lastUse(id) >= latest);
    }),
  );
});

test('where the devices of a pool are comes from the inventory, and a use makes a device the last choice', () => {
  const nics = [0, 1].map((at) => {
    const pf = `0000:${at === 0 ? '41' : '51'}:00.0`;
    const place = { numaNode: at, pcieRoot: `pci0000:${at}0` };
    return nic(
      `eth${at}`,
      [0, 1, 2].map((index) => vf(index, place, pf)),
      { address: parsePciAddress(pf), ...place },
    );
  });
  const pool = (allocation: AllocationPolicy) =>
    createPoolSet({
      specs: [vfSpec({ allocation, excludeTopology: true })],
      inventory: inventory(nics),
      log: silentLogger,
    });
  const available = nics.flatMap(({ vfs }) => vfs.map(({ address }) => address));
  const answers = policies.map((policy) => {
    const pools = pool(policy);
    const request = { available, mustInclude: [], size: 2 };
    const first = pools.prefer('berth.dev/vf', request);
    pools.noteUse(first);
    const second = pools.prefer('berth.dev/vf', request);
    pools.stop();
    return [policy, first, second];
  });
  const [a0, a1, a2] = available;
  const [, , , b0] = available;
  assert.deepEqual(answers, [
    ['packed', [a0, a1], [a0, a1]],
    ['spread', [a0, b0], [a0, b0]],
    ['aligned', [a0, a1], [a0, a1]],
    ['least-used', [a0, a1], [a2, b0]],
  ]);
});

const slots: readonly (readonly [string, string | undefined, number | undefined])[] = [
  ['eth0-3', 'eth0', 3],
  ['my-uplink-10', 'my-uplink', 10],
  ['eth0', undefined, undefined],
  ['-3', undefined, undefined],
  ['eth0-', undefined, undefined],
  ['eth0-03', undefined, undefined],
  ['eth0--1', 'eth0-', 1],
  ['0000:41:10.0', undefined, undefined],
];
for (const [id, uplink, slot] of slots) {
  test(`the slot ${id} is ${uplink === undefined ? 'none' : `${slot} of ${uplink}`}`, () => {
    assert.deepEqual(parseSlot(id), uplink === undefined ? undefined : { uplink, slot });
  });
}

test.run();
