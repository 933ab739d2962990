/**
 * The node of the lab's attachment tests: real igb VFs, sandboxes, an engine on the live kernel, and
 * what iproute2 says of all of it. VFs are made on one PF and taken away in the end.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type AttachmentEngine, createAttachments } from '../../../src/engine/attachments/index.ts';
import type { AttachResult, LinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { IpamSpec } from '../../../src/engine/ipam/model.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import {
  type PciAddress,
  parseContainerId,
  parseIfName,
  parseNetworkName,
  parsePciAddress,
} from '../../../src/engine/values.ts';
import { createOwnedAddresses } from '../../../src/linux/files/owned-addresses.ts';
import { createRecordStore } from '../../../src/linux/files/record-store.ts';
import { createReservationStore } from '../../../src/linux/files/reservation-store.ts';
import { createSriovCniFiles } from '../../../src/linux/files/sriov-cni-files.ts';
import { createKernel, type LinuxKernel } from '../../../src/linux/kernel.ts';
import { readPciFunction } from '../../../src/linux/sysfs/pci-function.ts';
import { ip, makeNamedNamespace } from '../../kernel/own-namespace.ts';
import { waitingClock } from '../../standins/waiting-clock.ts';

const VF_APPEARS_MS = 20_000;
const never = new AbortController().signal;

/** What `ip -j -d` prints of a link, as far as the tests look at it. */
export interface ShownLink {
  readonly ifname: string;
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly altnames?: readonly string[];
  readonly addr_info?: readonly { readonly local: string }[];
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly mode?: string } };
  readonly vfinfo_list?: readonly ShownVf[];
}

export interface ShownVf {
  readonly vf: number;
  readonly address: string;
  readonly vlan_list?: readonly { readonly vlan?: number; readonly qos?: number }[];
  readonly spoofchk: boolean;
  readonly trust: boolean;
}

export interface LabNode {
  readonly kernel: LinuxKernel;
  readonly pf: string;
  readonly vfs: readonly PciAddress[];
  /** Where the engine looks for the state of sriov-cni; there is none. */
  readonly sriovFolder: string;
  engine: AttachmentEngine;
  restart(): AttachmentEngine;
  attach(container: string, link: LinkSpec, ipam?: IpamSpec): Promise<AttachResult>;
  detach(container: string): Promise<void>;
  /** Of the container's sandbox, which is made when there is none. */
  sandboxPath(container: string): string;
  /** The reason of the failure. */
  refusal(container: string, link: LinkSpec): Promise<{ readonly reason: string; readonly message: string }>;
  /** Ends the sandbox as a killed runtime does: no DEL. Resolves when the kernel has ended it. */
  endSandbox(container: string): Promise<void>;
  /** `ip -j` in the container's sandbox, or on the node without one. */
  show(args: readonly string[], container?: string): readonly Readonly<Record<string, unknown>>[];
  /** One link with its addresses; throws when it is not there. */
  link(name: string, container?: string): ShownLink;
  /** Names of the links in a sandbox. */
  linkNames(container: string): readonly unknown[];
  /** Everything about the VFs that must be as it was. */
  baseline(): string;
  remove(): Promise<void>;
}

/** Makes `count` VFs on the PF and waits for their netdevs. */
export async function createLabNode(pf: string, count: number): Promise<LabNode> {
  const device = `/sys/class/net/${pf}/device`;
  if (count > 0) writeFileSync(`${device}/sriov_numvfs`, String(count));
  const vfs = await vfAddresses(device, count);
  if (count > 0) ip('link', 'set', pf, 'up');
  const folder = mkdtempSync(join(tmpdir(), 'berth-lab-'));
  const kernel = createKernel({ pciFunction: (address) => readPciFunction('/', address) });
  const sandboxes = new Map<string, ReturnType<typeof makeNamedNamespace>>();
  const start = (): AttachmentEngine =>
    createAttachments({
      kernel,
      records: createRecordStore(join(folder, 'attachments')),
      reservations: createReservationStore(waitingClock),
      ownedAddresses: createOwnedAddresses(join(folder, 'addresses')),
      sriovCni: createSriovCniFiles(join(folder, 'sriov')),
      clock: waitingClock,
      log: silentLogger,
      bootId: 'boot',
    });
  const keyOf = (container: string) => ({ containerId: parseContainerId(container), ifname: parseIfName('net1') });
  const sandboxOf = (container: string): ReturnType<typeof makeNamedNamespace> => {
    const made = sandboxes.get(container) ?? makeNamedNamespace();
    sandboxes.set(container, made);
    return made;
  };
  const node: LabNode = {
    kernel,
    pf,
    vfs,
    sriovFolder: join(folder, 'sriov'),
    sandboxPath: (container) => sandboxOf(container).path,
    engine: start(),
    restart: () => {
      node.engine = start();
      return node.engine;
    },
    attach: async (container, link, ipam) => {
      const { path } = sandboxOf(container);
      const sandbox = await kernel.open(path);
      if (sandbox === undefined) throw new Error(`${path} cannot be opened`);
      try {
        return await node.engine.attach(
          {
            key: keyOf(container),
            network: parseNetworkName('net'),
            sandbox,
            sandboxPath: path,
            link,
            ...(ipam === undefined ? {} : { ipam }),
          },
          { requestId: 'r', signal: never },
        );
      } finally {
        sandbox.close();
      }
    },
    detach: (container) => node.engine.detach(keyOf(container), undefined, { requestId: 'r', signal: never }),
    refusal: async (container, link) => {
      try {
        await node.attach(container, link);
      } catch (error) {
        return toBerthError(error);
      }
      throw new Error('it was not refused');
    },
    endSandbox: async (container) => {
      const made = sandboxOf(container);
      const opened = await kernel.open(made.path);
      if (opened === undefined) return;
      const nsid = await kernel.nsid(opened);
      opened.close();
      made.remove();
      sandboxes.delete(container);
      while (await kernel.isNamespaceAlive(nsid)) await delay(20);
    },
    show: (args, container) => {
      const output = ip(...(container === undefined ? [] : ['-n', sandboxOf(container).name]), '-j', '-d', ...args);
      return output.trim() === '' ? [] : (JSON.parse(output) as readonly Readonly<Record<string, unknown>>[]);
    },
    link: (name, container) => {
      const [link] = node.show(['address', 'show', 'dev', name], container);
      const [detail] = node.show(['link', 'show', 'dev', name], container);
      if (link === undefined || detail === undefined) throw new Error(`${name} is not shown`);
      return { ...link, ...detail } as unknown as ShownLink;
    },
    linkNames: (container) => node.show(['link', 'show'], container).map((entry) => entry.ifname),
    baseline: () => {
      const homes = vfs.map((address) => {
        const [name] = readdirSync(`/sys/bus/pci/devices/${address}/net`);
        const link = node.link(name ?? '');
        return {
          address,
          name,
          mac: link.address,
          mtu: link.mtu,
          up: link.flags.includes('UP'),
          alias: link.ifalias ?? '',
          receives: link.flags.filter((flag) => flag === 'PROMISC' || flag === 'ALLMULTI'),
        };
      });
      return JSON.stringify({ settings: node.link(pf).vfinfo_list, homes }, undefined, 1);
    },
    remove: async () => {
      await node.engine.stop();
      for (const made of sandboxes.values()) made.remove();
      if (count > 0) writeFileSync(`${device}/sriov_numvfs`, '0');
      kernel.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return node;
}

async function vfAddresses(device: string, count: number): Promise<PciAddress[]> {
  const until = Date.now() + VF_APPEARS_MS;
  for (;;) {
    const found = Array.from(
      { length: count },
      (_none, index) => readFileSync(`${device}/virtfn${index}/uevent`, 'utf8').match(/PCI_SLOT_NAME=(.*)/)?.[1] ?? '',
    );
    const ready = found.every(
      (address) =>
        readdirSync(`/sys/bus/pci/devices/${address}`).includes('net') &&
        readdirSync(`/sys/bus/pci/devices/${address}/net`).length === 1,
    );
    if (ready) return found.map(parsePciAddress);
    if (Date.now() > until) throw new Error(`the VFs of ${device} have no netdevs after ${VF_APPEARS_MS} ms`);
    await delay(100);
  }
}
