/**
 * What netlink and ethtool tell about the host's links, for the inventory. Reads only. It lists
 * what the kernel tells in this moment; joining it with sysfs is the reader's work.
 */
import { BerthError } from '../../engine/errors.ts';
import { pick } from '../netns/link-view.ts';
import { RTM_GETADDR, readAddress, writeAddressDump } from './address.ts';
import { NetlinkClient } from './client.ts';
import { GENL_ID_CTRL, readDevlinkInfo, readFamily, writeDevlinkInfoGet, writeFamilyGet } from './devlink.ts';
import { getDriverInfo } from './ethtool.ts';
import type { HostFacts, HostLink } from './facts-model.ts';
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
import { readVfList } from './vf.ts';

const MOST_IDLE_SOCKETS = 4;

/** Opens nothing yet; the first question opens its socket in the namespace of the thread. */
export function createHostFacts(): HostFacts {
  const route = new NetlinkClient({ protocol: NETLINK_ROUTE, mostIdle: MOST_IDLE_SOCKETS });
  const generic = new NetlinkClient({ protocol: NETLINK_GENERIC });
  let devlinkFamily: number | undefined;

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
            pace: 'quick',
            target: `link ${ifindex}`,
            fill: (writer) => writeLinkGet(writer, { index: ifindex }),
          }),
          'ENODEV',
        )) ?? [];
      return message === undefined ? undefined : hostLink(readLink(message.payload));
    },

    async vfList(ifindex) {
      const filter = RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS;
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
      const { numVfs, settings, missing } = readVfList(message.payload);
      return numVfs === undefined || settings.size === 0 ? undefined : { settings, missing };
    },

    async addresses(ifindex = 0) {
      const fill = (writer: Parameters<typeof writeAddressDump>[0]): void => writeAddressDump(writer, ifindex);
      const messages = await orUndefined(route.dump({ type: RTM_GETADDR, op: 'address.list', fill }), 'ENODEV');
      return (messages ?? [])
        .map(({ payload }) => readAddress(payload))
        .map((address) => pick(address, 'ifindex', 'address', 'family', 'scope'));
    },

    async defaultRouteInterfaces() {
      const families = await Promise.all(
        ([4, 6] as const).map((family) =>
          route.dump({ type: RTM_GETROUTE, op: 'route.list', fill: (writer) => writeRouteDump(writer, family) }),
        ),
      );
      const found = families
        .flat()
        .map(({ payload }) => readRoute(payload))
        .filter((entry) => entry !== undefined)
        .filter((entry) => entry.isDefault && entry.unicast && !entry.cached);
      return new Set(found.flatMap((entry) => entry.hops.map((hop) => hop.ifindex)));
    },

    driverInfo: getDriverInfo,

    async devlinkInfo(address) {
      if (devlinkFamily === undefined) {
        const [message] =
          (await orUndefined(
            generic.request({
              type: GENL_ID_CTRL,
              op: 'devlink.family',
              fill: (writer) => writeFamilyGet(writer, 'devlink'),
            }),
            'ENOENT',
          )) ?? [];
        if (message === undefined) return undefined;
        devlinkFamily = readFamily(message.payload);
      }
      const type = devlinkFamily;
      const [info] =
        (await orUndefined(
          generic.request({
            type,
            op: 'devlink.info',
            target: address,
            fill: (writer) => writeDevlinkInfoGet(writer, address),
          }),
          'ENODEV',
          'EOPNOTSUPP',
        )) ?? [];
      return info === undefined ? undefined : readDevlinkInfo(info.payload);
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
    ...pick(message, 'pci'),
    adminUp: message.up,
    ...(message.vlan === undefined ? {} : { vlanId: message.vlan.id }),
  };
}
