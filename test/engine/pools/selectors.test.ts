import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { UplinkSelector, VfSelector } from '../../../src/engine/pools/model.ts';
import { formatRange, whyFunctionDiffers, whyUplinkDiffers } from '../../../src/engine/pools/selectors.ts';
import { parseMacAddress, parsePciAddress } from '../../../src/engine/values.ts';
import { netdev, nic, vf } from './build.ts';

const mac = parseMacAddress('3c:fd:fe:00:00:01');
const otherMac = parseMacAddress('3c:fd:fe:00:00:02');
const pf = nic('eth0', [], { serial: 'MT42' }, { altnames: ['enp65s0f0'], permanentMac: mac, mac: otherMac });

const vfCases: readonly (readonly [VfSelector, string | undefined])[] = [
  [{}, undefined],
  [{ vendors: ['8086'] }, undefined],
  [{ vendors: ['15b3', '8086'] }, undefined],
  [{ vendors: ['15b3'] }, 'vendors: 8086 is not in [15b3]'],
  [{ devices: ['1521', '10ed'] }, 'devices: 1520 is not in [1521, 10ed]'],
  [{ drivers: ['vfio-pci'] }, 'drivers: igbvf is not in [vfio-pci]'],
  [{ vendors: ['8086'], drivers: ['vfio-pci'] }, 'drivers: igbvf is not in [vfio-pci]'],
  [{ pciAddresses: [parsePciAddress('0000:41:10.3')] }, undefined],
  [{ pciAddresses: [parsePciAddress('0000:41:10.4')] }, 'pciAddresses: 0000:41:10.3 is not in [0000:41:10.4]'],
  [{ pfNames: [{ pf: 'eth0' }] }, undefined],
  [{ pfNames: [{ pf: 'enp65s0f0' }] }, undefined],
  [{ pfNames: [{ pf: 'eth1' }] }, 'pfNames: eth0 is not in [eth1]'],
  [
    {
      pfNames: [
        {
          pf: 'eth0',
          ranges: [
            [0, 0],
            [2, 7],
          ],
        },
      ],
    },
    undefined,
  ],
  [
    {
      pfNames: [
        {
          pf: 'eth0',
          ranges: [
            [0, 2],
            [4, 4],
          ],
        },
      ],
    },
    'pfNames: VF 3 is not in eth0#0-2,4',
  ],
  [
    {
      pfNames: [
        { pf: 'eth0', ranges: [[0, 0]] },
        { pf: 'eth0', ranges: [[3, 3]] },
      ],
    },
    undefined,
  ],
  [{ rootDevices: [{ pf: '0000:41:00.0', ranges: [[3, 3]] }] }, undefined],
  [{ pfSerials: [{ pf: 'MT42' }] }, undefined],
  [{ pfSerials: [{ pf: 'MT42@0', ranges: [[0, 3]] }] }, undefined],
  [{ pfSerials: [{ pf: 'MT42@1' }] }, 'pfSerials: MT42 is not in [MT42@1]'],
  [{ pfSerials: [{ pf: 'MT42', ranges: [[0, 2]] }] }, 'pfSerials: VF 3 is not in MT42#0-2'],
  [{ pfMacs: [{ pf: mac, ranges: [[3, 3]] }] }, undefined],
  [{ pfMacs: [{ pf: otherMac }] }, `pfMacs: ${mac} is not in [${otherMac}]`],
  [{ rootDevices: [{ pf: '0000:42:00.0' }] }, 'rootDevices: 0000:41:00.0 is not in [0000:42:00.0]'],
];
for (const [selector, expected] of vfCases) {
  test(`VF 3 of eth0 against ${JSON.stringify(selector)}: ${expected ?? 'matches'}`, () => {
    assert.equal(whyFunctionDiffers(selector, { pci: vf(3), pf }), expected);
  });
}

test('a PF without a network device has no name to be chosen by', () => {
  const { netdev: _netdev, ifname: _ifname, ...bare } = pf;
  assert.equal(
    whyFunctionDiffers({ pfNames: [{ pf: 'eth0' }] }, { pci: vf(0), pf: bare }),
    'pfNames: a PF without a network device is not in [eth0]',
  );
});

const link = {
  netdev: netdev('eth0', { altnames: ['wan'], addresses: ['10.1.2.3/24', '2001:db8::1/64'] }),
  kind: 'nic',
  nic: pf,
};
const uplinkCases: readonly (readonly [UplinkSelector, string | undefined])[] = [
  [{ names: ['eth0'] }, undefined],
  [{ names: ['eth1'] }, 'names: eth0 is not in [eth1]'],
  [{ altnames: ['wan'] }, undefined],
  [{ altnames: ['lan'] }, 'altnames: wan is not in [lan]'],
  [{ drivers: ['igb'] }, undefined],
  [{ drivers: ['mlx5_core'] }, 'drivers: igb is not in [mlx5_core]'],
  [{ pciAddresses: [parsePciAddress('0000:41:00.0')] }, undefined],
  [{ subnets: ['10.1.0.0/16'] }, undefined],
  [{ subnets: ['2001:db8::/32'] }, undefined],
  [{ subnets: ['10.2.0.0/16'] }, 'subnets: 10.1.2.3/24, 2001:db8::1/64 is not in [10.2.0.0/16]'],
];
for (const [selector, expected] of uplinkCases) {
  test(`the uplink eth0 against ${JSON.stringify(selector)}: ${expected ?? 'matches'}`, () => {
    assert.equal(whyUplinkDiffers(selector, link), expected);
  });
}

test('a link without a PCI function has neither driver nor PCI address to be chosen by', () => {
  const bond = { netdev: netdev('bond0'), kind: 'bond' };
  assert.equal(whyUplinkDiffers({ drivers: ['igb'] }, bond), 'drivers: none is not in [igb]');
  assert.equal(whyUplinkDiffers({ subnets: ['10.0.0.0/8'] }, bond), 'subnets: no address is not in [10.0.0.0/8]');
});

test('a range is written as the configuration writes it', () => {
  assert.equal(
    formatRange({
      pf: 'eth0',
      ranges: [
        [0, 0],
        [2, 7],
        [9, 9],
      ],
    }),
    'eth0#0,2-7,9',
  );
});

test.run();
