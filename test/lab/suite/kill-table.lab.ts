/** Every change of an ADD and of a DEL of a real VF, and of links that only the lab has: failed, killed, cancelled. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../../src/engine/attachments/model.ts';
import type { MacAddress, PciAddress } from '../../../src/engine/values.ts';
import { makeNamedNamespace } from '../../kernel/own-namespace.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { liveSubject } from '../../standins/kill-subject.ts';
import { killTable, requireDocumented } from '../../standins/kill-table.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth1';
const test = suite<{ node: LabNode; folder: string }>('kill table in the lab', undefined as never);

const KINDS: readonly { readonly kind: string; readonly link: (node: LabNode) => LinkSpec }[] = [
  {
    kind: 'VF',
    link: ({ vfs }) => ({
      kind: 'vf',
      device: vfs[0] as PciAddress,
      vlan: 100,
      trust: true,
      mac: '02:00:00:00:be:61' as MacAddress,
      mtu: 1400,
    }),
  },
  { kind: 'ipvlan', link: () => ({ kind: 'ipvlan', uplink: PF, mode: 'l2', flag: 'bridge' }) },
  { kind: 'VLAN', link: () => ({ kind: 'vlan', uplink: PF, vlanId: 9 }) },
  {
    kind: 'macvlan on a shared VLAN',
    link: () => ({ kind: 'macvlan', uplink: PF, mode: 'bridge', uplinkVlan: 11 }),
  },
  {
    kind: 'VF as a host device',
    link: ({ vfs }) => ({ kind: 'host-device', device: { by: 'pci', address: vfs[0] as PciAddress } }),
  },
];

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    context.node = await createLabNode(PF, 1);
    context.folder = mkdtempSync(join(tmpdir(), 'berth-kill-'));
  });
  test.after.each(async ({ node, folder }) => {
    await node.remove();
    rmSync(folder, { recursive: true });
  });

  for (const { kind, link } of KINDS) {
    test(`${kind}: whatever happens at any change of ADD or DEL, everything is as it was`, async ({ node, folder }) => {
      if (kind.startsWith('VF')) {
        // From its first use on igb lists a VF's own MAC: the baseline is that of a used one.
        await node.attach('first', link(node));
        await node.detach('first');
      }
      const { path, remove } = makeNamedNamespace();
      try {
        const state = (): unknown => [node.baseline(), readdirSync('/sys/class/net')];
        const rows = await killTable(liveSubject({ kernel: node.kernel, folder, path, link: link(node), state }));
        assert.ok(rows.length > 12);
        requireDocumented(kind, rows);
      } finally {
        remove();
      }
    });
  }
}

test.run();
