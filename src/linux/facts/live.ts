/** Facts of the running kernel, over netlink. */
import type { PciAddress } from '../../engine/values.ts';
import { asIfName } from '../../engine/values.ts';
import type { DevlinkInfo, HostAddress, HostFacts, HostLink } from '../netlink/facts-model.ts';
import type { DriverFacts, FactSource, LinkFacts, LinkRef } from './source.ts';

/** The caller closes `host`. */
export function liveFacts(host: HostFacts): FactSource {
  const links = async (): Promise<ReadonlyMap<number, LinkFacts>> => {
    const [all, addresses] = await Promise.all([host.links(), host.addresses()]);
    const byIndex = Map.groupBy(addresses, (entry) => entry.ifindex);
    return new Map(all.map((link) => [link.index, linkFacts(link, byIndex.get(link.index) ?? [])]));
  };
  return {
    links,
    link: async (ifindex) => {
      const [link, addresses] = await Promise.all([host.link(ifindex), host.addresses(ifindex)]);
      return link === undefined ? undefined : linkFacts(link, addresses);
    },
    defaultRoutes: () => host.defaultRouteInterfaces(),
    vfSettings: async (pf) => (await host.vfList(pf.ifindex)) ?? 'none',
    vfCounters: (pf) => host.vfCounters(pf.ifindex),
    queues: () => host.queues(),
    queuesOf: async ({ ifindex }) => {
      const { queues, rings } = await host.ethtool(ifindex);
      return { ...(queues === undefined ? {} : { queues }), ...(rings === undefined ? {} : { rings }) };
    },
    driver: (address, netdev) => driverFacts(host, address, netdev),
  };
}

function linkFacts(link: HostLink, addresses: readonly HostAddress[]): LinkFacts {
  return {
    ifindex: link.index,
    altnames: link.altnames,
    ...(link.permanentMac === undefined ? {} : { permanentMac: link.permanentMac }),
    ...(link.carrier === undefined ? {} : { carrier: link.carrier }),
    ...(link.kind === undefined ? {} : { kind: link.kind }),
    ...(link.physPortId === undefined ? {} : { physPortId: link.physPortId }),
    ...(link.physPortName === undefined ? {} : { physPortName: link.physPortName }),
    ...(link.physSwitchId === undefined ? {} : { physSwitchId: link.physSwitchId }),
    addresses: addresses.filter((entry) => entry.scope === 'global').map((entry) => entry.address),
  };
}

async function driverFacts(host: HostFacts, address: PciAddress, netdev: LinkRef | undefined): Promise<DriverFacts> {
  const ifname = netdev === undefined ? undefined : asIfName(netdev.ifname);
  const driver = ifname === undefined ? undefined : await host.driverInfo(ifname);
  const devlink = await host.devlinkInfo(address);
  const eswitchMode = devlink === undefined ? undefined : await host.eswitchMode(address);
  const firmware = driver?.firmware ?? devlink?.running.fw;
  const firmwareStored = storedFirmware(devlink);
  const ddpProfile = devlink?.running['fw.app.name'];
  const serial = devlink?.serial ?? devlink?.boardSerial;
  const partNumber = devlink?.fixed['board.part_number'] ?? devlink?.fixed['board.id'];
  return {
    ...(netdev === undefined ? {} : await host.ethtool(netdev.ifindex)),
    ...(driver?.version === undefined ? {} : { driverVersion: driver.version }),
    ...(firmware === undefined ? {} : { firmware }),
    ...(firmwareStored === undefined ? {} : { firmwareStored }),
    ...(serial === undefined ? {} : { serial }),
    ...(partNumber === undefined ? {} : { partNumber }),
    ...(eswitchMode === undefined ? {} : { eswitchMode }),
    ...(ddpProfile === undefined ? {} : { ddpProfile }),
  };
}

/** What the flash holds where something else runs: the first part of the firmware that differs, `fw 2.0`. */
function storedFirmware(devlink: DevlinkInfo | undefined): string | undefined {
  const differing = Object.entries(devlink?.stored ?? {}).find(([name, version]) => {
    const running = devlink?.running[name];
    return running !== undefined && running !== version;
  });
  return differing?.join(' ');
}
