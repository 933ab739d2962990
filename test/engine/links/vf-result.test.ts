/** The hardware address that a result tells of a VF: of its netdev, or where it has none, as the PF knows it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MacAddress } from '../../../src/engine/values.ts';
import { createPodNode, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf, settingsOf, type WorldVf } from '../../standins/fake-world.ts';

const test = suite('the result of a VF');
const ADMIN = '02:aa:bb:cc:dd:07' as MacAddress;
const ASKED = '02:aa:bb:cc:dd:08' as MacAddress;

function onVfio(node: PodNode, mac: string | undefined): WorldVf {
  const device = node.device(1);
  device.driver = 'vfio-pci';
  node.world.host.links.delete(linkOf(device).index);
  delete device.link;
  if (mac === undefined) delete settingsOf(device).mac;
  else settingsOf(device).mac = mac as MacAddress;
  return device;
}

for (const [what, admin, asked, told] of [
  ['the one that the PF gave it', ADMIN, undefined, ADMIN],
  ['the one that was asked for', ADMIN, ASKED, ASKED],
  ['none where the PF gave it none', '00:00:00:00:00:00', undefined, undefined],
  ['none where the driver tells none', undefined, undefined, undefined],
] as const) {
  test(`on vfio-pci a VF has in its result the MAC that it has: ${what}`, async () => {
    const node = createPodNode();
    const device = onVfio(node, admin);
    const result = await node.attach('c1', vf(device, asked === undefined ? {} : { mac: asked }));
    assert.equal([result.hasNetdev, result.mac], [false, told]);
  });
}

test.run();
