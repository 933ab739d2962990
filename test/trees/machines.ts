/**
 * Machines as they are found in clusters, in the layouts that their drivers give them. They are
 * written down from the kernel's sources and documentation, not recorded: which trees come from real
 * hardware or the lab is said in docs/lab.md.
 */
import { addDriverFacts, addRdma, addScalable, addUio, addVdpa, addVfioDevice, removeNetdev } from './devices.ts';
import { type TreeSpec, vfAddress } from './generate.ts';
import { withTree } from './temporary.ts';

export interface Machine {
  readonly what: string;
  readonly spec: TreeSpec;
  /** What the generator of PCI functions has no words for. */
  furnish(dir: string): void;
}

const MLX = { vendor: '15b3', device: '1021', driver: 'mlx5_core', vfDevice: '101e', vfDriver: 'mlx5_core' };

/** ConnectX in legacy mode: each function with an RDMA device, the third VF's in a pod (exclusive mode). */
const connectx: Machine = {
  what: 'ConnectX with RDMA over Ethernet',
  spec: { pfs: [{ ...MLX, address: '0000:41:00.0', ifname: 'enp65s0f0np0', vfs: 4 }] },
  furnish: (dir) => {
    addRdma(dir, '0000:41:00.0', { name: 'mlx5_0', number: 0 });
    for (const vf of [0, 1, 3]) {
      addRdma(dir, vfAddress('0000:41:00.0', vf), { name: `mlx5_${vf + 1}`, number: vf + 1 });
    }
    removeNetdev(dir, 'enp65s0f0np0v2');
  },
};

/** ConnectX on InfiniBand: the subnet manager gave the VFs keys of their own. */
const infiniband: Machine = {
  what: 'ConnectX with InfiniBand and partition keys',
  spec: {
    pfs: [
      {
        ...MLX,
        address: '0000:41:00.0',
        class: '020700',
        ifname: 'ib0',
        netdev: { type: 32 },
        vfNetdev: { type: 32 },
        vfs: 3,
      },
    ],
  },
  furnish: (dir) => {
    const pkeys = [['0x8001', '0x7fff'], ['0x0001'], ['0x7fff', '0x8001']];
    addRdma(dir, '0000:41:00.0', { name: 'mlx5_0', number: 0, linkLayer: 'InfiniBand' });
    for (const [vf, keys] of pkeys.entries()) {
      const spec = { name: `mlx5_${vf + 1}`, number: vf + 1, linkLayer: 'InfiniBand' as const, pkeys: keys };
      addRdma(dir, vfAddress('0000:41:00.0', vf), spec);
    }
  },
};

/** BlueField or ConnectX with scalable functions: one idle, one with RDMA, one in a pod, one without its driver. */
const scalable: Machine = {
  what: 'ConnectX with scalable functions',
  spec: { pfs: [{ ...MLX, address: '0000:08:00.0', ifname: 'enp8s0f0np0', numaNode: 0 }] },
  furnish: (dir) => {
    addScalable(dir, '0000:08:00.0', { name: 'mlx5_core.sf.2', sfnum: 88, ifname: 'enp8s0f0s88' });
    addScalable(dir, '0000:08:00.0', { name: 'mlx5_core.sf.3', sfnum: 89, ifname: 'enp8s0f0s89' });
    addRdma(dir, 'mlx5_core.sf.3', { name: 'mlx5_7', number: 7 });
    addScalable(dir, '0000:08:00.0', { name: 'mlx5_core.sf.10', sfnum: 90 });
    addScalable(dir, '0000:08:00.0', { name: 'mlx5_core.sf.11', sfnum: 91, driver: null });
  },
};

/** E810 with the package for telecommunication on the first port, the default one on the second. */
const ice: Machine = {
  what: 'E810 with DDP packages',
  spec: {
    pfs: [
      { device: '159b', driver: 'ice', address: '0000:51:00.0', ifname: 'ens1f0', vfs: 2, vfDevice: '1889' },
      { device: '159b', driver: 'ice', address: '0000:51:00.1', ifname: 'ens1f1', totalVfs: 0 },
    ],
  },
  furnish: (dir) =>
    addDriverFacts(dir, {
      '0000:51:00.0': { firmware: '4.40', ddpProfile: 'ICE COMMS Package' },
      '0000:51:00.1': { firmware: '4.40', ddpProfile: 'ICE OS Default Package' },
    }),
};

/** VFs with a vDPA device for a virtual machine, one for the kernel, and one that no driver has taken. */
const vdpa: Machine = {
  what: 'VFs with vDPA devices',
  spec: { pfs: [{ ...MLX, address: '0000:41:00.0', ifname: 'enp65s0f0np0', vfs: 4 }] },
  furnish: (dir) => {
    addVdpa(dir, vfAddress('0000:41:00.0', 0), 'vdpa0', 'vhost', 0);
    addVdpa(dir, vfAddress('0000:41:00.0', 1), 'vdpa1', 'virtio');
    addVdpa(dir, vfAddress('0000:41:00.0', 2), 'vdpa2', null);
  },
};

/** FPGA and baseband accelerators (class 12), QuickAssist (class 0b40), and a storage controller, which is none. */
const accelerators: Machine = {
  what: 'accelerators',
  spec: {
    numaNodes: 2,
    pfs: [
      {
        ifname: null,
        address: '0000:3b:00.0',
        class: '120000',
        device: '0d5c',
        driver: 'vfio-pci',
        vfs: 2,
        vfDevice: '0d5d',
        vfDriver: 'vfio-pci',
        numaNode: 0,
      },
      {
        ifname: null,
        address: '0000:3c:00.0',
        class: '120000',
        vendor: '10ee',
        device: '5005',
        driver: 'xclmgmt',
        totalVfs: 0,
        numaNode: 0,
      },
      {
        ifname: null,
        address: '0000:3d:00.0',
        class: '120000',
        device: '09c4',
        driver: null,
        totalVfs: 0,
        numaNode: 0,
      },
      {
        ifname: null,
        address: '0000:b1:00.0',
        class: '0b4000',
        device: '4940',
        driver: '4xxx',
        vfs: 2,
        vfDevice: '4941',
        vfDriver: 'igb_uio',
        numaNode: 1,
      },
      {
        ifname: null,
        address: '0000:b2:00.0',
        class: '010802',
        device: '0a54',
        driver: 'nvme',
        totalVfs: 0,
        numaNode: 1,
      },
      { ifname: 'eth0', address: '0000:b3:00.0', totalVfs: 0, numaNode: 1 },
    ],
  },
  furnish: (dir) => {
    addVfioDevice(dir, vfAddress('0000:3b:00.0', 1), 3);
    addUio(dir, vfAddress('0000:b1:00.0', 0), 0);
    addUio(dir, vfAddress('0000:b1:00.0', 1), 1);
  },
};

export const machines = { connectx, infiniband, scalable, ice, vdpa, accelerators } as const satisfies Readonly<
  Record<string, Machine>
>;

/** Runs `body` on the machine's tree and removes it, also when the body fails. */
export async function withMachine({ spec, furnish }: Machine, body: (dir: string) => Promise<void>): Promise<void> {
  await withTree(spec, async ({ dir }) => {
    furnish(dir);
    await body(dir);
  });
}
