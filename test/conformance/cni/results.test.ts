/**
 * Results word for word, for every version of the specification: alone, without addresses, and in a
 * chain behind another plugin. Sources: the result sections of the specifications 0.2.0, 0.3.1,
 * 0.4.0, 1.0.0 and 1.1.0; the fields that 1.1.0 added are printed for 1.0.0 too, as libcni does.
 */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { CNI_VERSIONS, type CniVersion } from '../../../src/cni/versions.ts';
import type { AttachResult } from '../../../src/engine/attachments/model.ts';
import { parseIfName, parseMacAddress, parsePciAddress } from '../../../src/engine/values.ts';
import { bench, VF } from '../../cni/calls.ts';
import { fakeAttachments } from '../../cni/fake-attachments.ts';

type Json = Readonly<Record<string, unknown>>;

const SANDBOX = '/var/run/netns/cni-1';
const DUAL_STACK: AttachResult = {
  ifname: parseIfName('net1'),
  mac: parseMacAddress('02:5e:00:00:00:01'),
  mtu: 9000,
  pci: parsePciAddress('0000:41:10.1'),
  hasNetdev: true,
  addresses: [
    { address: '10.60.0.6/24', gateway: '10.60.0.1' },
    { address: '10.60.0.7/24' },
    { address: 'fd00::6/64' },
  ],
  routes: [
    { dst: '10.61.0.0/16', gateway: '10.60.0.1', mtu: 1400, advmss: 1360, priority: 7, table: 100, scope: 0 },
    { dst: 'fd01::/64' },
  ],
  dns: { nameservers: ['10.60.0.53'], domain: 'example', search: ['a.example'], options: ['ndots:2'] },
};
const LAYER_2: AttachResult = { ...DUAL_STACK, addresses: [], routes: [], dns: {} };

const DNS = { nameservers: ['10.60.0.53'], domain: 'example', search: ['a.example'], options: ['ndots:2'] };
const PLAIN_ROUTES = [{ dst: '10.61.0.0/16', gw: '10.60.0.1' }, { dst: 'fd01::/64' }];
const FULL_ROUTES = [
  { dst: '10.61.0.0/16', mtu: 1400, advmss: 1360, priority: 7, table: 100, scope: 0, gw: '10.60.0.1' },
  { dst: 'fd01::/64' },
];
const PLAIN_INTERFACE = { name: 'net1', mac: '02:5e:00:00:00:01', sandbox: SANDBOX };
const FULL_INTERFACE = { ...PLAIN_INTERFACE, mtu: 9000, pciID: '0000:41:10.1' };

const OLD: Json = {
  ip4: { ip: '10.60.0.6/24', gateway: '10.60.0.1', routes: [{ dst: '10.61.0.0/16', gw: '10.60.0.1' }] },
  ip6: { ip: 'fd00::6/64', routes: [{ dst: 'fd01::/64' }] },
  dns: DNS,
};
const VERSIONED: Json = {
  interfaces: [PLAIN_INTERFACE],
  ips: [
    { version: '4', address: '10.60.0.6/24', gateway: '10.60.0.1', interface: 0 },
    { version: '4', address: '10.60.0.7/24', interface: 0 },
    { version: '6', address: 'fd00::6/64', interface: 0 },
  ],
  routes: PLAIN_ROUTES,
  dns: DNS,
};
const CURRENT: Json = {
  interfaces: [FULL_INTERFACE],
  ips: [
    { address: '10.60.0.6/24', gateway: '10.60.0.1', interface: 0 },
    { address: '10.60.0.7/24', interface: 0 },
    { address: 'fd00::6/64', interface: 0 },
  ],
  routes: FULL_ROUTES,
  dns: DNS,
};

const ALONE: Readonly<Record<CniVersion, Json>> = {
  '0.1.0': OLD,
  '0.2.0': OLD,
  '0.3.0': VERSIONED,
  '0.3.1': VERSIONED,
  '0.4.0': VERSIONED,
  '1.0.0': CURRENT,
  '1.1.0': CURRENT,
};

/** No `dns`, `ips` or `routes` without content, and in the oldest versions no result at all. */
const WITHOUT_ADDRESSES: Readonly<Record<CniVersion, Json | undefined>> = {
  '0.1.0': undefined,
  '0.2.0': undefined,
  '0.3.0': { interfaces: [PLAIN_INTERFACE] },
  '0.3.1': { interfaces: [PLAIN_INTERFACE] },
  '0.4.0': { interfaces: [PLAIN_INTERFACE] },
  '1.0.0': { interfaces: [FULL_INTERFACE] },
  '1.1.0': { interfaces: [FULL_INTERFACE] },
};

/** What a bridge before it answered: its own interfaces, an address, a route; and a field of the future. */
const BRIDGE = [
  { name: 'cni0', mac: '0a:00:00:00:00:01' },
  { name: 'eth0', mac: '0a:00:00:00:00:02', sandbox: SANDBOX, future: true },
];
const BRIDGE_DNS = { nameservers: ['10.1.0.53'] };
const PREVIOUS_OLD: Json = { ip4: { ip: '10.1.0.9/24', gateway: '10.1.0.1' }, dns: BRIDGE_DNS };
const PREVIOUS_VERSIONED: Json = {
  interfaces: BRIDGE,
  ips: [{ version: '4', address: '10.1.0.9/24', gateway: '10.1.0.1', interface: 1 }],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: BRIDGE_DNS,
};
const PREVIOUS_CURRENT: Json = {
  ...PREVIOUS_VERSIONED,
  ips: [{ address: '10.1.0.9/24', gateway: '10.1.0.1', interface: 1 }],
};
const MERGED_VERSIONED: Json = {
  interfaces: [...BRIDGE, PLAIN_INTERFACE],
  ips: [
    { version: '4', address: '10.1.0.9/24', gateway: '10.1.0.1', interface: 1 },
    { version: '4', address: '10.60.0.6/24', gateway: '10.60.0.1', interface: 2 },
    { version: '4', address: '10.60.0.7/24', interface: 2 },
    { version: '6', address: 'fd00::6/64', interface: 2 },
  ],
  routes: [{ dst: '0.0.0.0/0' }, ...PLAIN_ROUTES],
  dns: DNS,
};
const MERGED_CURRENT: Json = {
  interfaces: [...BRIDGE, FULL_INTERFACE],
  ips: [
    { address: '10.1.0.9/24', gateway: '10.1.0.1', interface: 1 },
    { address: '10.60.0.6/24', gateway: '10.60.0.1', interface: 2 },
    { address: '10.60.0.7/24', interface: 2 },
    { address: 'fd00::6/64', interface: 2 },
  ],
  routes: [{ dst: '0.0.0.0/0' }, ...FULL_ROUTES],
  dns: DNS,
};

const CHAINED: Readonly<Record<CniVersion, { readonly previous: Json; readonly merged: Json; readonly silent: Json }>> =
  {
    // One address of a family is all there is room for: the last plugin's, else the earlier one's.
    '0.1.0': { previous: PREVIOUS_OLD, merged: OLD, silent: PREVIOUS_OLD },
    '0.2.0': { previous: PREVIOUS_OLD, merged: OLD, silent: PREVIOUS_OLD },
    '0.3.0': {
      previous: PREVIOUS_VERSIONED,
      merged: MERGED_VERSIONED,
      silent: behindBridge(PREVIOUS_VERSIONED, PLAIN_INTERFACE),
    },
    '0.3.1': {
      previous: PREVIOUS_VERSIONED,
      merged: MERGED_VERSIONED,
      silent: behindBridge(PREVIOUS_VERSIONED, PLAIN_INTERFACE),
    },
    '0.4.0': {
      previous: PREVIOUS_VERSIONED,
      merged: MERGED_VERSIONED,
      silent: behindBridge(PREVIOUS_VERSIONED, PLAIN_INTERFACE),
    },
    '1.0.0': {
      previous: PREVIOUS_CURRENT,
      merged: MERGED_CURRENT,
      silent: behindBridge(PREVIOUS_CURRENT, FULL_INTERFACE),
    },
    '1.1.0': {
      previous: PREVIOUS_CURRENT,
      merged: MERGED_CURRENT,
      silent: behindBridge(PREVIOUS_CURRENT, FULL_INTERFACE),
    },
  };

/** A link without addresses adds its interface and nothing else. */
function behindBridge(previous: Json, own: Json): Json {
  return { ...previous, interfaces: [...BRIDGE, own] };
}

async function add(result: AttachResult, config: Json): Promise<Json> {
  const { send } = bench({ attachments: { ...fakeAttachments(), attach: async () => result } });
  const ipam = result === DUAL_STACK ? { type: 'static', addresses: [{ address: '10.60.0.6/24' }] } : undefined;
  const { answer } = await send({ config: { ...VF, ...config, ...(ipam === undefined ? {} : { ipam }) } });
  return answer;
}

for (const version of CNI_VERSIONS) {
  test(`${version}: two families, routes and DNS`, async () => {
    assert.deepEqual(await add(DUAL_STACK, { cniVersion: version }), { cniVersion: version, ...ALONE[version] });
  });

  test(`${version}: a link without addresses`, async () => {
    const expected = WITHOUT_ADDRESSES[version];
    const answer = await add(LAYER_2, { cniVersion: version });
    if (expected === undefined) assert.equal(answer.code, 1);
    else assert.deepEqual(answer, { cniVersion: version, ...expected });
  });

  test(`${version}: behind another plugin of a chain`, async () => {
    const { previous, merged, silent } = CHAINED[version];
    const prevResult = { cniVersion: version, ...previous };
    assert.deepEqual(await add(DUAL_STACK, { cniVersion: version, prevResult }), { cniVersion: version, ...merged });
    assert.deepEqual(await add(LAYER_2, { cniVersion: version, prevResult }), { cniVersion: version, ...silent });
  });

  // The oldest two have another shape altogether.
  if (version === '0.1.0' || version === '0.2.0') continue;
  test(`${version}: a previous result of another version is written in this one`, async () => {
    const other = version === '1.0.0' || version === '1.1.0' ? PREVIOUS_VERSIONED : PREVIOUS_CURRENT;
    const answer = await add(DUAL_STACK, { cniVersion: version, prevResult: { cniVersion: 'other', ...other } });
    assert.deepEqual(answer, { cniVersion: version, ...CHAINED[version].merged });
  });
}

test('a configuration without cniVersion is one of 0.1.0', async () => {
  const { cniVersion: _none, ...answer } = await add(DUAL_STACK, { cniVersion: '' });
  assert.deepEqual(answer, OLD);
  assert.equal(_none, '0.1.0');
});

test('a previous result that cannot be read is refused before anything is done', async () => {
  const answer = await add(DUAL_STACK, { prevResult: { interfaces: 'none' } });
  assert.equal(answer.code, 7);
  assert.match(String(answer.msg), /prevResult\.interfaces/);
});

test.run();
