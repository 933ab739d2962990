/**
 * What one device brings into a container: the nodes under `/dev`, and the part of the `_INFO`
 * variable that tells of them. It decides; who writes it down is allocate.ts, cdi-spec.ts and
 * device-info.ts. To debug: the answer to Allocate has exactly these nodes, in this order.
 */
import { BerthError } from '../engine/errors.ts';
import { tapIndexOf, tapPath } from '../engine/links/tap-index.ts';
import type { PoolFunction, VfPoolSpec, VfSelector } from '../engine/pools/model.ts';
import type { NodeDevice, NodeDevices } from '../engine/pools/node-devices.ts';
import { selectorOf } from '../engine/pools/selectors.ts';
import { isUserspace } from '../engine/pools/userspace.ts';

/** The container device of vfio, which every group needs besides its own. */
export const VFIO_CONTAINER = '/dev/vfio/vfio';
/** iommufd's device, which a function's own vfio device needs besides itself. */
const IOMMUFD = '/dev/iommu';
const VHOST_NET = '/dev/vhost-net';
const TUN = '/dev/net/tun';

/** By the section's name (`vfio`, `rdma` ...) and within it by key. */
export type InfoSections = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface Grant {
  /** Absolute paths, each once; the same inside the container. */
  readonly nodes: readonly string[];
  readonly info: InfoSections;
  /** `/dev/vhost-net`, where the pool promises it. */
  readonly vhostNet?: string;
}

const NOTHING: Grant = { nodes: [], info: {} };

/**
 * What a slot of a macvtap pool brings: the character device of the link that ADD will make. It is
 * not there yet; the runtime looks for it when the network is up.
 */
export function tapGrant(id: string): Grant {
  return { nodes: [tapPath(tapIndexOf(id))], info: {} };
}

/**
 * What the function brings. Throws `Unsupported` (`device-node-missing`) when something that the pool
 * promises, or that the driver is useless without, is not on the node.
 */
export function grantOf(spec: VfPoolSpec, given: PoolFunction, node: NodeDevices): Grant {
  const selector = selectorOf(spec, given);
  return together([
    userspaceGrant(spec, given, node),
    rdmaGrant(selector, given),
    vdpaGrant(selector, given),
    vhostGrant(selector, given, node),
  ]);
}

function together(grants: readonly Grant[]): Grant {
  const vhostNet = grants.find((grant) => grant.vhostNet !== undefined)?.vhostNet;
  return {
    nodes: [...new Set(grants.flatMap(({ nodes }) => nodes))],
    info: Object.assign({}, ...grants.map(({ info }) => info)) as InfoSections,
    ...(vhostNet === undefined ? {} : { vhostNet }),
  };
}

function userspaceGrant(spec: VfPoolSpec, { pci }: PoolFunction, node: NodeDevices): Grant {
  if (!isUserspace(pci)) return NOTHING;
  const { uio, vfio, vfioDevice } = pci.deviceNodes;
  const own = vfioDevice !== undefined && node.has(IOMMUFD) ? vfioDevice : undefined;
  // A kernel without vfio groups (CONFIG_VFIO_GROUP) has no container device either.
  const group = own === undefined || node.has(VFIO_CONTAINER) ? vfio : undefined;
  if (group === undefined && own === undefined && uio === undefined && pci.driver === 'vfio-pci') {
    throw missing(
      `device ${pci.address} is bound to vfio-pci, but has no group under /dev/vfio`,
      'Enable the IOMMU, or load vfio with enable_unsafe_noiommu_mode=1 and bind the device again.',
    );
  }
  const nodes = [
    ...(group === undefined ? [] : [VFIO_CONTAINER, group]),
    ...(own === undefined ? [] : [own, IOMMUFD]),
    ...(uio === undefined ? [] : [uio]),
  ];
  const section = {
    ...(group === undefined ? {} : { mount: VFIO_CONTAINER, 'dev-mount': group }),
    // Pools of the SR-IOV network device plugin's file tell what it tells, byte by byte.
    ...(own === undefined || spec.hyphens === 'kept' ? {} : { 'cdev-mount': own, 'iommu-mount': IOMMUFD }),
  };
  return {
    nodes,
    info: {
      ...(Object.keys(section).length === 0 ? {} : { vfio: section }),
      ...(uio === undefined ? {} : { uio: { mount: uio } }),
    },
  };
}

const RDMA_KEYS = ['uverbs', 'umad', 'issm', 'rdma_cm'] as const;

function rdmaGrant(selector: VfSelector | undefined, { pci }: PoolFunction): Grant {
  if (selector?.isRdma !== true) return NOTHING;
  const nodes = pci.deviceNodes.rdma;
  if (nodes === undefined) {
    throw missing(
      `device ${pci.address} is given with RDMA, but its RDMA device is not on the node`,
      'Wait until the pod that has it in exclusive mode is gone, and create the pod again.',
    );
  }
  const keys = RDMA_KEYS.flatMap((key) => {
    const node = nodes.find((path) => path.startsWith(`/dev/infiniband/${key}`));
    return node === undefined ? [] : [[key, node] as const];
  });
  const name = pci.rdma?.[0]?.name;
  const device = name === undefined ? {} : { rdma_dev: name };
  return { nodes, info: { rdma: { ...Object.fromEntries(keys), ...device } } };
}

function vdpaGrant(selector: VfSelector | undefined, { pci }: PoolFunction): Grant {
  if (selector?.vdpaType !== 'vhost') return NOTHING;
  const node = pci.vdpa?.find(({ type }) => type === 'vhost')?.node;
  if (node === undefined) {
    throw missing(
      `device ${pci.address} is given with vhost-vdpa, but its vDPA device has no node under /dev`,
      'Bind its vDPA device to vhost_vdpa, and create the pod again.',
    );
  }
  return { nodes: [node], info: { vdpa: { mount: node } } };
}

function vhostGrant(selector: VfSelector | undefined, { pci }: PoolFunction, node: NodeDevices): Grant {
  if (selector?.needVhostNet !== true) return NOTHING;
  const lacking = ([VHOST_NET, TUN] as const satisfies readonly NodeDevice[]).filter((device) => !node.has(device));
  if (lacking.length > 0) {
    const module = lacking[0] === TUN ? 'tun' : 'vhost_net';
    throw missing(
      `device ${pci.address} is given with vhost-net, but the node has no ${lacking.join(' and no ')}`,
      `Load the kernel module ("modprobe ${module}"), and create the pod again.`,
    );
  }
  return {
    nodes: [VHOST_NET, TUN],
    info: { vhost: { 'net-mount': VHOST_NET, 'tun-mount': TUN } },
    vhostNet: VHOST_NET,
  };
}

function missing(message: string, remedy: string): BerthError {
  return new BerthError({ code: 'Unsupported', reason: 'device-node-missing', message, remedy });
}
