/** The agent as a process offers real VFs: drivers that change under it, a PF that goes down, device nodes by CDI. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { standingOf } from '../../../src/engine/inventory-view.ts';
import type { PciAddress } from '../../../src/engine/values.ts';
import type { InventoryView } from '../../../src/engine/view.ts';
import { getFromAgent } from '../../../src/http/client.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { eventually } from '../../standins/eventually.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth0';
const VF = 'berth.dev/vf';
const DPDK = 'berth.dev/dpdk';
const LIMIT_MS = 60_000;
/** /run is the machine's own, which ends with it. */
const CDI_DIR = '/run/berth-test-cdi';
const CONFIG = `
pools:
  - { name: vf, kind: vf, selectors: [{ drivers: [igbvf] }], allocation: spread }
  - { name: dpdk, kind: vf, selectors: [{ drivers: [vfio-pci] }] }
`;

const test = suite<{ lab: LabNode; node: AgentNode }>('device plugin and VFs');

/** As `driverctl` does: the override, and a new probe. */
function bind(address: PciAddress, driver: string): void {
  const device = `/sys/bus/pci/devices/${address}`;
  writeFileSync(`${device}/driver_override`, driver);
  writeFileSync(`${device}/driver/unbind`, address);
  writeFileSync('/sys/bus/pci/drivers_probe', address);
}

const pod = (name: string, resource: string) => ({
  namespace: 'default',
  name,
  containers: [{ name: 'main', resources: { [resource]: 1 } }],
});

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    context.lab = await createLabNode(PF, 2);
    context.node = await createAgentNode(CONFIG, {
      onMachine: true,
      agentArguments: ['--use-cdi', '--cdi-dir', CDI_DIR],
    });
  });
  test.after.each(async ({ lab, node }) => {
    await node.remove();
    for (const address of lab.vfs) writeFileSync(`/sys/bus/pci/devices/${address}/driver_override`, '\n');
    await lab.remove();
  });

  test('a VF that is rebound changes its pool live, and its device nodes are there by CDI', async ({ lab, node }) => {
    const counts = async (expected: Readonly<Record<string, number>>) => {
      const isSo = () => {
        const { allocatable } = node.kubelet.node();
        return Object.entries(expected).every(([resource, count]) => allocatable[resource] === count);
      };
      await node.kubelet.until(isSo, `${JSON.stringify(expected)}\n${node.agentLog()}`, LIMIT_MS);
    };
    await node.startAgent();
    await counts({ [VF]: 2, [DPDK]: 0 });
    const [first, second] = lab.vfs;
    if (first === undefined || second === undefined) throw new Error('two VFs were to be made');
    bind(second, 'vfio-pci');
    await counts({ [VF]: 1, [DPDK]: 1 });

    const { containers } = await node.kubelet.admit(pod('dpdk', DPDK));
    assert.equal(containers[0]?.cdiDevices, [`${DPDK}=${second}`]);
    const info = JSON.parse(containers[0]?.envs.PCIDEVICE_BERTH_DEV_DPDK_INFO ?? '')[second];
    const text = readFileSync(join(CDI_DIR, 'berth-pool-berth.dev_dpdk.json'), 'utf8');
    const [device] = JSON.parse(text).devices;
    const paths: readonly string[] = device.containerEdits.deviceNodes.map(({ path }: { path: string }) => path);
    assert.is(device.name, second);
    assert.ok(paths.includes(info.vfio['dev-mount']));
    for (const path of paths) assert.ok(statSync(path).isCharacterDevice(), path);

    // It is never attached, and yet everybody who looks sees who has it.
    const isHeldBy = (holder: string | undefined) =>
      eventually(
        async () => {
          const view = await getFromAgent<InventoryView>(join(node.folder, 'run/api.sock'), '/v1/inventory');
          const { allocation, state } = standingOf(second, view);
          assert.equal([state, allocation?.pod], [holder === undefined ? 'free' : 'taken', holder]);
        },
        LIMIT_MS,
        () => 'who has the VF',
      );
    await isHeldBy('default/dpdk');
    node.kubelet.remove({ namespace: 'default', name: 'dpdk' });
    // As with every pod that ends, a link of the node goes.
    ip('link', 'add', 'berth-pod', 'type', 'bridge');
    ip('link', 'delete', 'berth-pod');
    await isHeldBy(undefined);

    await node.kubelet.admit(pod('kernel', VF));
    const file = join(node.folder, 'devinfo', 'dp', `berth.dev-vf-${first}-device.json`);
    assert.is(JSON.parse(readFileSync(file, 'utf8')).pci['pci-address'], first);

    ip('link', 'set', PF, 'down');
    await counts({ [VF]: 0, [DPDK]: 0 });
    await eventually(
      async () => {
        const [vf] = (await node.status()).resources;
        assert.match(vf?.reasons[0] ?? '', `its PF ${PF} is down`);
      },
      LIMIT_MS,
      () => 'the reason in the status',
    );
    ip('link', 'set', PF, 'up');
    await counts({ [VF]: 1, [DPDK]: 1 });
    bind(second, 'igbvf');
    await counts({ [VF]: 2, [DPDK]: 0 });
  });
}

test.run();
