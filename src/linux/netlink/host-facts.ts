/**
 * What netlink and ethtool tell about the host's links, for the inventory. Reads only. It lists
 * what the kernel tells in this moment; joining it with sysfs is the reader's work.
 */
import { BerthError } from '../../engine/errors.ts';
import type { PciAddress } from '../../engine/values.ts';
import { pick } from '../netns/link-view.ts';
import { RTM_GETADDR, readAddress, writeAddressDump } from './address.ts';
import { NetlinkClient } from './client.ts';
import { readDevlinkInfo, readEswitchMode, writeDevlinkInfoGet, writeEswitchGet } from './devlink.ts';
import { getDriverInfo } from './ethtool.ts';
import {
  ETHTOOL_GENL_NAME,
  ETHTOOL_MSG,
  readChannels,
  readEthtoolIndex,
  readFeatures,
  readRings,
  writeEthtoolDump,
  writeEthtoolGet,
} from './ethtool-family.ts';
import type { HostFacts, HostLink, QueueFacts } from './facts-model.ts';
import { GENL_ID_CTRL, readFamily, writeFamilyGet } from './genetlink.ts';
import {
  type LinkMessage,
  RTEXT_FILTER_SKIP_STATS,
  RTEXT_FILTER_VF,
  RTM_GETLINK,
  readLink,
  writeLinkDump,
  writeLinkGet,
} from './link.ts';
import { RTM_GETROUTE, readRoute, writeRouteDump } from './route.ts';
import { NETLINK_GENERIC, NETLINK_ROUTE } from './socket.ts';
import { readVfList, type VfListMessage } from './vf.ts';
import type { AttributeWriter } from './wire/attribute.ts';
import type { Message } from './wire/message.ts';

const MOST_IDLE_SOCKETS = 4;

/** Opens nothing yet; the first question opens its socket in the namespace of the thread. */
export function createHostFacts(): HostFacts {
  const route = new NetlinkClient({ protocol: NETLINK_ROUTE, mostIdle: MOST_IDLE_SOCKETS });
  const generic = new NetlinkClient({ protocol: NETLINK_GENERIC });
  const families = new Map<string, number>();
  const vfListOf = async (ifindex: number, filter: number): Promise<VfListMessage | undefined> => {
    const [message] =
      (await orUndefined(
        route.request({
          type: RTM_GETLINK,
          op: 'vf.list',
          target: `link ${ifindex}`,
          fill: (writer) => writeLinkGet(writer, { index: ifindex }, filter),
        }),
        'ENODEV',
      )) ?? [];
    if (message === undefined) return undefined;
    const list = readVfList(message.payload);
    return list.numVfs === undefined || list.settings.size === 0 ? undefined : list;
  };

  /** Message type of a generic family; `undefined` when the kernel does not have it. A module may bring it later. */
  const familyOf = async (name: string): Promise<number | undefined> => {
    const known = families.get(name);
    if (known !== undefined) return known;
    const fill = (writer: AttributeWriter): void => writeFamilyGet(writer, name);
    const [message] =
      (await orUndefined(generic.request({ type: GENL_ID_CTRL, op: `${name}.family`, fill }), 'ENOENT')) ?? [];
    if (message === undefined) return undefined;
    const type = readFamily(message.payload);
    families.set(name, type);
    return type;
  };

  const askDevlink = async (
    op: string,
    address: PciAddress,
    fill: (writer: AttributeWriter, address: PciAddress) => void,
  ): Promise<Buffer | undefined> => {
    const type = await familyOf('devlink');
    if (type === undefined) return undefined;
    const asked = generic.request({ type, op, target: address, fill: (writer) => fill(writer, address) });
    // EPERM: some questions are for the superuser only, and the others' answers count without them.
    const [answer] = (await orUndefined(asked, 'ENODEV', 'EOPNOTSUPP', 'EPERM')) ?? [];
    return answer?.payload;
  };

  return {
    async links() {
      const messages = await route.dump({ type: RTM_GETLINK, op: 'link.list', fill: writeLinkDump });
      return messages.map(({ payload }) => hostLink(readLink(payload)));
    },

    async link(ifindex) {
      const [message] =
        (await orUndefined(
          route.request({
            type: RTM_GETLINK,
            op: 'link.get',
            pace: 'patient',
            target: `link ${ifindex}`,
            fill: (writer) => writeLinkGet(writer, { index: ifindex }),
          }),
          'ENODEV',
        )) ?? [];
      return message === undefined ? undefined : hostLink(readLink(message.payload));
    },

    async vfList(ifindex) {
      const list = await vfListOf(ifindex, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS);
      return list === undefined ? undefined : { settings: list.settings, missing: list.missing };
    },

    async vfCounters(ifindex) {
      return (await vfListOf(ifindex, RTEXT_FILTER_VF))?.counters;
    },

    async addresses(ifindex = 0) {
      const fill = (writer: Parameters<typeof writeAddressDump>[0]): void => writeAddressDump(writer, ifindex);
      const messages = await orUndefined(route.dump({ type: RTM_GETADDR, op: 'address.list', fill }), 'ENODEV');
      return (messages ?? [])
        .map(({ payload }) => readAddress(payload))
        .map((address) => pick(address, 'ifindex', 'address', 'family', 'scope'));
    },

    async defaultRouteInterfaces() {
      const dumps = await Promise.all(
        ([4, 6] as const).map((family) =>
          route.dump({ type: RTM_GETROUTE, op: 'route.list', fill: (writer) => writeRouteDump(writer, family) }),
        ),
      );
      const found = dumps
        .flat()
        .map(({ payload }) => readRoute(payload))
        .filter((entry) => entry !== undefined)
        .filter((entry) => entry.isDefault && entry.unicast && !entry.cached);
      return new Set(found.flatMap((entry) => entry.hops.map((hop) => hop.ifindex)));
    },

    driverInfo: getDriverInfo,

    async devlinkInfo(address) {
      const answer = await askDevlink('devlink.info', address, writeDevlinkInfoGet);
      return answer === undefined ? undefined : readDevlinkInfo(answer);
    },

    async eswitchMode(address) {
      const answer = await askDevlink('devlink.eswitch', address, writeEswitchGet);
      return answer === undefined ? undefined : readEswitchMode(answer);
    },

    async ethtool(ifindex) {
      const type = await familyOf(ETHTOOL_GENL_NAME);
      if (type === undefined) return {};
      const ask = async <T>(what: keyof typeof ETHTOOL_MSG, read: (payload: Buffer) => T): Promise<T | undefined> => {
        const asked = generic.request({
          type,
          op: `ethtool.${what}`,
          target: `link ${ifindex}`,
          fill: (writer) => writeEthtoolGet(writer, ETHTOOL_MSG[what], ifindex),
        });
        // What drivers answer to a question that they do not have, or not while the link is down.
        const [answer] = (await orUndefined(asked, 'ENODEV', 'EOPNOTSUPP', 'EINVAL', 'ENETDOWN')) ?? [];
        return answer === undefined ? undefined : read(answer.payload);
      };
      const queues = await ask('channels', readChannels);
      const rings = await ask('rings', readRings);
      const offloads = await ask('features', readFeatures);
      return {
        ...(queues === undefined ? {} : { queues }),
        ...(rings === undefined ? {} : { rings }),
        ...(offloads === undefined ? {} : { offloads }),
      };
    },

    async queues() {
      const type = await familyOf(ETHTOOL_GENL_NAME);
      if (type === undefined) return new Map();
      const list = async (what: 'channels' | 'rings'): Promise<readonly Message[]> => {
        const asked = generic.dump({
          type,
          op: `ethtool.${what}.list`,
          fill: (writer) => writeEthtoolDump(writer, ETHTOOL_MSG[what]),
        });
        return (await orUndefined(asked, 'EOPNOTSUPP')) ?? [];
      };
      const found = new Map<number, QueueFacts>();
      const add = (payload: Buffer, facts: QueueFacts): void => {
        const ifindex = readEthtoolIndex(payload);
        found.set(ifindex, { ...found.get(ifindex), ...facts });
      };
      for (const { payload } of await list('channels')) add(payload, { queues: readChannels(payload) });
      for (const { payload } of await list('rings')) add(payload, { rings: readRings(payload) });
      return found;
    },

    close() {
      route.close();
      generic.close();
    },
  };
}

/** The answer, or `undefined` for the errors that mean "there is none". */
async function orUndefined<T>(answer: Promise<T>, ...absent: readonly string[]): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof BerthError && error.errno !== undefined && absent.includes(error.errno)) return undefined;
    throw error;
  }
}

function hostLink(message: LinkMessage): HostLink {
  return {
    ...pick(message, 'index', 'name', 'altnames', 'alias', 'kind', 'slaveKind', 'hardwareType', 'flags', 'mac'),
    ...pick(message, 'permanentMac', 'mtuBytes', 'operstate', 'carrier', 'parentIndex', 'parentNsid', 'masterIndex'),
    ...pick(message, 'pci', 'physPortId', 'physPortName', 'physSwitchId'),
    adminUp: message.up,
    ...(message.vlan === undefined ? {} : { vlanId: message.vlan.id }),
  };
}
