/** Every change of an ADD and of a DEL on the live kernel: failed, killed, cancelled. Prints the tables of docs/kill-table.md. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../src/engine/attachments/model.ts';
import type { MacAddress } from '../../src/engine/values.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';
import { liveSubject } from '../standins/kill-subject.ts';
import { killTable, requireDocumented } from '../standins/kill-table.ts';
import { createPrivateNode, type PrivateNode } from '../standins/private-node.ts';
import { ip, leaveMachine } from './own-namespace.ts';

const test = suite<{ node: PrivateNode }>('kill table', undefined as never);
const MAC = '02:00:00:00:be:61' as MacAddress;

/** The kinds that a machine's kernel may lack are in test/lab/suite/kill-table.lab.ts. */
const KINDS: readonly { readonly kind: string; readonly isThere: boolean; readonly link: LinkSpec }[] = [
  {
    kind: 'macvlan',
    isThere: hasLinkKind('macvlan'),
    link: { kind: 'macvlan', uplink: 'up0', mode: 'bridge', mtu: 1400 },
  },
  {
    kind: 'macvtap',
    isThere: hasLinkKind('macvtap') && /^\S+ \/dev devtmpfs /m.test(readFileSync('/proc/mounts', 'utf8')),
    link: {
      kind: 'macvtap',
      uplink: 'up0',
      slot: `up0-${process.pid}`,
      mac: MAC,
      promiscuous: true,
      owner: { uid: 107, gid: 107 },
    },
  },
  {
    kind: 'Device of the node',
    isThere: true,
    link: { kind: 'host-device', device: { by: 'name', name: 'dev0' }, mac: MAC },
  },
];

/** What a node may have configured on a device. */
function furnish(): void {
  ip('link', 'add', 'dev0', 'mtu', '1300', 'type', 'veth', 'peer', 'name', 'dev1');
  for (const name of ['dev0', 'dev1']) ip('link', 'set', name, 'up');
  ip('link', 'set', 'dev0', 'alias', 'rack 7');
  ip('address', 'add', '198.51.100.7/24', 'dev', 'dev0');
  ip('route', 'add', '203.0.113.0/24', 'via', '198.51.100.1', 'dev', 'dev0');
}

/** As iproute2 shows it, without what comes by itself a moment later and the index, which is the kernel's affair. */
function shown(output: unknown): unknown {
  return (output as readonly Readonly<Record<string, unknown>>[]).map(
    ({ ifname, address, mtu, ifalias, flags, addr_info }) => ({
      ...{ ifname, address, mtu, ifalias },
      up: (flags as readonly string[]).includes('UP'),
      addresses: (addr_info as readonly { scope: string; local: string }[])
        .filter(({ scope }) => scope === 'global')
        .map(({ local }) => local),
    }),
  );
}

if (requireFeature('veth', hasLinkKind('veth'))) {
  leaveMachine();
  test.before.each((context) => {
    context.node = createPrivateNode();
    furnish();
  });
  test.after.each((context) => {
    context.node.remove();
    ip('link', 'del', 'dev1');
  });

  for (const { kind, isThere, link } of KINDS) {
    if (!requireFeature(kind, isThere)) continue;
    test(`${kind}: whatever happens at any change of ADD or DEL, everything is as it was`, async ({ node }) => {
      const path = node.addSandbox('a');
      const { kernel, folder } = node;
      const state = (): unknown => [
        shown(node.ip(['address', 'show'], 'a')),
        shown(JSON.parse(ip('-j', 'address', 'show'))),
        ip('-j', 'route', 'show'),
      ];
      const rows = await killTable(liveSubject({ kernel, folder, path, link, state }));
      assert.ok(rows.length > 12);
      requireDocumented(kind, rows);
    });
  }
}

test.run();
