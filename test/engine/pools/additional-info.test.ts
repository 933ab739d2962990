import assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseConfig } from '../../../src/config/index.ts';
import { additionalInfoOf } from '../../../src/engine/pools/additional-info.ts';
import type { PoolFunction, VfPoolSpec } from '../../../src/engine/pools/model.ts';
import { parseMacAddress } from '../../../src/engine/values.ts';
import { nic, vf } from './build.ts';

const port = nic(
  'eth0',
  [vf(0), vf(1), vf(2)],
  { serial: 'MT42' },
  { altnames: ['lan'], permanentMac: parseMacAddress('3c:fd:fe:00:00:01') },
);
const at = (index: number): PoolFunction => ({ pci: port.vfs[index] ?? vf(index), pf: port });

function specOf(info: string): VfPoolSpec {
  const { config, problems } = parseConfig(`pools: [{name: a, kind: vf, additionalInfo: {${info}}}]`, 'c.yaml');
  assert.deepEqual(problems, []);
  return config?.pools[0] as VfPoolSpec;
}

for (const [name, info, expected] of [
  ['everything', '"*": {a: x}', ['x', 'x', 'x']],
  ['an address', '"0000:41:10.1": {a: x}', [undefined, 'x', undefined]],
  ['an interface name with VFs', '"eth0#0,2": {a: x}', ['x', undefined, 'x']],
  ['an alternative name', '"lan#1": {a: x}', [undefined, 'x', undefined]],
  ['the PF’s address', '"0000:41:00.0#1-2": {a: x}', [undefined, 'x', 'x']],
  ['a hardware address with VFs', '"3C-FD-FE-00-00-01#0": {a: x}', ['x', undefined, undefined]],
  ['a hardware address alone', '"3c:fd:fe:00:00:01": {a: x}', ['x', 'x', 'x']],
  ['a serial number', '"MT42#2": {a: x}', [undefined, undefined, 'x']],
  ['a serial number with its function', '"MT42@0#2": {a: x}', [undefined, undefined, 'x']],
  ['another port', '"MT42@1#0": {a: x}, "eth1#0": {a: x}', [undefined, undefined, undefined]],
  ['the nearest of several', '"0000:41:10.0": {a: own}, "eth0#0-1": {a: port}, "*": {a: all}', ['own', 'port', 'all']],
  ['the last of several ports', '"eth0#0-1": {a: first}, "MT42#1": {a: last}', ['first', 'last', undefined]],
] as const) {
  test(`additional info by ${name} reaches its VFs`, () => {
    const spec = specOf(info);
    assert.deepEqual(
      [0, 1, 2].map((index) => additionalInfoOf(spec, at(index), at(index).pci.address)['a']),
      expected,
    );
  });
}

test('a NIC that is given away whole has what is said of the port, and nothing of VFs', () => {
  const spec = specOf('"3c:fd:fe:00:00:01": {a: port}, "eth0#0": {a: vf}');
  assert.deepEqual(additionalInfoOf(spec, { pci: port }, port.address), { a: 'port' });
});

test('a device that is gone keeps what is said of its address', () => {
  const spec = specOf('"0000:41:10.0": {a: x}, "eth0#0": {b: y}');
  assert.deepEqual(additionalInfoOf(spec, undefined, '0000:41:10.0'), { a: 'x' });
});

for (const [key, message] of [
  ['eth0', /neither "\*" nor a full PCI address/],
  ['41:10.0', /neither "\*" nor a full PCI address/],
  ['eth0#3-1', /ends before it begins/],
  ['eth0#x', /neither a VF number nor a range/],
] as const) {
  test(`${key} is no key of additional info`, () => {
    const { problems } = parseConfig(`pools: [{name: a, kind: vf, additionalInfo: {"${key}": {a: x}}}]`, 'c.yaml');
    assert.match(problems[0]?.message ?? '', message);
  });
}

test.run();
