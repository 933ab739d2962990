/** Facts of a node's NICs as labels, for node selectors. Few, and such as change seldom. */
import type { Inventory } from '../engine/inventory/model.ts';

const PREFIX = 'network.berth.dev';

/** Label values are at most 63 letters, digits, `-`, `_` and `.` (Kubernetes, "Labels and Selectors"). */
export function nodeLabels({ nics, node }: Pick<Inventory, 'nics' | 'node'>): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  const speeds = nics.flatMap(({ netdev }) => netdev?.speedMbps ?? []);
  const capable = nics.filter(({ sriov }) => sriov !== undefined);
  if (capable.length > 0) {
    labels[`${PREFIX}/sriov`] = 'true';
    labels[`${PREFIX}/sriov-total-vfs`] = String(capable.reduce((sum, { sriov }) => sum + (sriov?.totalVfs ?? 0), 0));
  }
  if (nics.some(({ rdma, vfs }) => rdma !== undefined || vfs.some((vf) => vf.rdma !== undefined))) {
    labels[`${PREFIX}/rdma`] = 'true';
  }
  if (nics.some(({ ptpClock }) => ptpClock !== undefined)) labels[`${PREFIX}/ptp`] = 'true';
  if (node.iommu !== undefined) labels[`${PREFIX}/iommu`] = String(node.iommu);
  if (speeds.length > 0) labels[`${PREFIX}/fastest-mbps`] = String(Math.max(...speeds));
  for (const { vendor, device } of nics) {
    const key = `${PREFIX}/nic-${vendor}-${device}`;
    labels[key] = String(Number(labels[key] ?? 0) + 1);
  }
  return labels;
}
