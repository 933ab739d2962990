/** host-local's algorithm over a folder in memory. That it matches the Go plugin is tested in test/kernel. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import { releaseAddresses, reserveAddresses } from '../../../src/engine/ipam/host-local.ts';
import type { HostLocalSpec, IpamOwner, IpRange } from '../../../src/engine/ipam/model.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { MemoryFolder } from '../../standins/memory-stores.ts';

const test = suite('host-local');

function owner(id: string): IpamOwner {
  return { network: parseNetworkName('net'), containerId: parseContainerId(id), ifname: parseIfName('net1') };
}

function spec(rangeSets: readonly (readonly IpRange[])[], requested: readonly string[] = []): HostLocalSpec {
  return { type: 'host-local', rangeSets, requested, routes: [], dataDir: '/x', dns: {} };
}

function reserve(folder: MemoryFolder, id: string, of: HostLocalSpec): string[] {
  return reserveAddresses(folder, of, owner(id)).map((entry) => entry.address);
}

function reasonOf(work: () => unknown): { reason: string; message: string } {
  try {
    work();
  } catch (error) {
    return toBerthError(error);
  }
  throw new Error('it did not fail');
}

const orders: readonly { name: string; ranges: readonly IpRange[]; last?: string; expect: readonly string[] }[] = [
  {
    name: 'begins after the gateway, at network + 2',
    ranges: [{ subnet: '10.0.0.0/29' }],
    expect: ['10.0.0.2/29', '10.0.0.3/29', '10.0.0.4/29'],
  },
  { name: 'never gives the broadcast address', ranges: [{ subnet: '10.0.0.0/30' }], expect: ['10.0.0.2/30'] },
  {
    name: 'skips a gateway in the middle',
    ranges: [{ subnet: '10.0.0.0/29', gateway: '10.0.0.3' }],
    expect: ['10.0.0.1/29', '10.0.0.2/29', '10.0.0.4/29'],
  },
  {
    name: 'goes on after the last one',
    ranges: [{ subnet: '10.0.0.0/29' }],
    last: '10.0.0.4',
    expect: ['10.0.0.5/29', '10.0.0.6/29', '10.0.0.2/29'],
  },
  {
    name: 'goes on in the second range, then comes round',
    ranges: [{ subnet: '10.0.0.0/30' }, { subnet: '10.0.1.0/30' }],
    last: '10.0.1.1',
    expect: ['10.0.1.2/30', '10.0.0.2/30'],
  },
  {
    name: 'begins anew when the last one is in no range',
    ranges: [{ subnet: '10.0.0.0/29' }],
    last: '192.0.2.1',
    expect: ['10.0.0.2/29'],
  },
  {
    name: 'keeps to start and end',
    ranges: [{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.20', rangeEnd: '10.0.0.21' }],
    expect: ['10.0.0.20/24', '10.0.0.21/24'],
  },
  {
    name: 'takes IPv6, to the last address',
    ranges: [{ subnet: 'fd00::/126' }],
    expect: ['fd00::2/126', 'fd00::3/126'],
  },
];

for (const { name, ranges, last, expect } of orders) {
  test(`${name}`, () => {
    const folder = new MemoryFolder();
    if (last !== undefined) folder.last.set(0, last);
    assert.equal(
      expect.map((_address, index) => reserve(folder, `c${index}`, spec([ranges]))[0]),
      expect,
    );
  });
}

test('a used-up range says which, how large and how many are reserved', () => {
  const folder = new MemoryFolder();
  const small = spec([[{ subnet: '10.0.0.0/30' }]]);
  reserve(folder, 'a', small);
  const failure = reasonOf(() => reserve(folder, 'b', small));
  assert.is(failure.reason, 'address-range-exhausted');
  assert.match(failure.message, '10.0.0.0/30');
  assert.match(failure.message, 'hold 2 addresses, gateway included, and 1 are reserved');
});

test('an address comes from every set, and a set that has none gives back the others', () => {
  const folder = new MemoryFolder();
  const both = spec([
    [{ subnet: '10.0.0.0/29' }],
    [{ subnet: 'fd00::/126', rangeStart: 'fd00::2', rangeEnd: 'fd00::2' }],
  ]);
  assert.equal(reserve(folder, 'a', both), ['10.0.0.2/29', 'fd00::2/126']);
  assert.is(reasonOf(() => reserve(folder, 'b', both)).reason, 'address-range-exhausted');
  assert.equal([...folder.files.keys()], ['10.0.0.2', 'fd00::2']);
});

test('the content is the container id, CR LF and the interface, without an end of line', () => {
  const folder = new MemoryFolder();
  reserve(folder, 'abc', spec([[{ subnet: '10.0.0.0/29' }]]));
  assert.is(folder.files.get('10.0.0.2'), 'abc\r\nnet1');
  assert.is(folder.last.get(0), '10.0.0.2');
});

test('an owner who has an address of the ranges gets no second one', () => {
  const folder = new MemoryFolder();
  const one = spec([[{ subnet: '10.0.0.0/29' }]]);
  reserve(folder, 'a', one);
  assert.is(reasonOf(() => reserve(folder, 'a', one)).reason, 'address-already-reserved');
  assert.is(folder.files.size, 1);
});

const requests: readonly {
  name: string;
  requested: readonly string[];
  taken?: string;
  reason?: string;
  expect?: readonly string[];
}[] = [
  { name: 'a free one', requested: ['10.0.0.5'], expect: ['10.0.0.5/29', '10.0.1.2/29'] },
  { name: 'with a prefix length', requested: ['10.0.0.5/24'], expect: ['10.0.0.5/29', '10.0.1.2/29'] },
  {
    name: 'one of each set, in any order',
    requested: ['10.0.1.4', '10.0.0.5'],
    expect: ['10.0.0.5/29', '10.0.1.4/29'],
  },
  { name: 'one twice', requested: ['10.0.0.5', '10.0.0.5/29'], expect: ['10.0.0.5/29', '10.0.1.2/29'] },
  { name: 'the gateway', requested: ['10.0.0.1'], reason: 'requested-address-invalid' },
  { name: 'one outside of the ranges', requested: ['10.9.9.9'], reason: 'requested-address-invalid' },
  { name: 'two of one set', requested: ['10.0.0.4', '10.0.0.5'], reason: 'requested-address-invalid' },
  { name: 'no address at all', requested: ['ten'], reason: 'requested-address-invalid' },
  { name: 'a taken one', requested: ['10.0.1.4'], taken: '10.0.1.4', reason: 'address-taken' },
];

for (const { name, requested, taken, reason, expect } of requests) {
  test(`a requested address: ${name}`, () => {
    const folder = new MemoryFolder();
    if (taken !== undefined) folder.files.set(taken, 'other\r\neth0');
    const wanted = spec([[{ subnet: '10.0.0.0/29' }], [{ subnet: '10.0.1.0/29' }]], requested);
    if (reason === undefined) {
      assert.equal(reserve(folder, 'a', wanted), expect);
      return;
    }
    assert.is(reasonOf(() => reserve(folder, 'a', wanted)).reason, reason);
    assert.equal([...folder.files.keys()], taken === undefined ? [] : [taken]);
  });
}

test("releasing takes the owner's addresses and nobody else's", () => {
  const folder = new MemoryFolder();
  const both = spec([[{ subnet: '10.0.0.0/29' }], [{ subnet: '10.0.1.0/29' }]]);
  reserve(folder, 'a', both);
  reserve(folder, 'b', both);
  assert.equal(releaseAddresses(folder, owner('a')), ['10.0.0.2', '10.0.1.2']);
  assert.equal(releaseAddresses(folder, owner('a')), []);
  assert.equal([...folder.files.values()], ['b\r\nnet1', 'b\r\nnet1']);
});

test('a reservation that names the container alone, as old releases of host-local wrote it, is released too', () => {
  const folder = new MemoryFolder();
  folder.files.set('10.0.0.2', 'a').set('10.0.0.3', 'b').set('10.0.0.4', 'a\r\nnet2');
  assert.equal(releaseAddresses(folder, owner('a')), ['10.0.0.2']);
  assert.equal([...folder.files.keys()], ['10.0.0.3', '10.0.0.4']);
  folder.files.set('10.0.0.5', 'b\r\nnet1');
  assert.equal(releaseAddresses(folder, owner('b')), ['10.0.0.5']);
});

test('whatever is taken and given back, nobody shares an address and every one can be taken', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ id: fc.integer({ min: 0, max: 9 }), add: fc.boolean() }), { maxLength: 60 }),
      (calls) => {
        const folder = new MemoryFolder();
        const of = spec([[{ subnet: '10.0.0.0/29' }, { subnet: '10.0.1.0/30' }]]);
        const held = new Map<number, string>();
        for (const { id, add } of calls) {
          if (!add) {
            releaseAddresses(folder, owner(`c${id}`));
            held.delete(id);
          } else if (held.has(id))
            assert.is(reasonOf(() => reserve(folder, `c${id}`, of)).reason, 'address-already-reserved');
          else if (held.size === 6)
            assert.is(reasonOf(() => reserve(folder, `c${id}`, of)).reason, 'address-range-exhausted');
          else held.set(id, reserve(folder, `c${id}`, of)[0] ?? '');
        }
        assert.is(new Set(held.values()).size, held.size);
        assert.is(folder.files.size, held.size);
      },
    ),
  );
});

test('an empty file, which a killed plugin has left, is used again before the range counts as exhausted', () => {
  const folder = new MemoryFolder();
  folder.files.set('10.0.0.3', '');
  const range = spec([[{ subnet: '10.0.0.0/29', rangeEnd: '10.0.0.4' }]]);
  assert.equal(
    ['a', 'b', 'c'].map((id) => reserve(folder, id, range)),
    [['10.0.0.2/29'], ['10.0.0.4/29'], ['10.0.0.3/29']],
  );
  assert.is(reasonOf(() => reserve(folder, 'd', range)).reason, 'address-range-exhausted');
});

test.run();
