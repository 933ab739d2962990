/** From the engine's operations to netlink requests. Pure: it asks nothing of the kernel. */
import type { LinkOperation, Namespace } from '../../engine/attachments/port.ts';
import { BerthError } from '../../engine/errors.ts';
import { RTM_DELADDR, RTM_NEWADDR, writeAddress } from '../netlink/address.ts';
import type { Request } from '../netlink/client.ts';
import { prefixToBytes } from '../netlink/ip-address.ts';
import {
  type LinkChange,
  type LinkCreation,
  RTM_DELLINK,
  RTM_DELLINKPROP,
  RTM_NEWLINK,
  writeAltnameDelete,
  writeLinkChange,
  writeLinkCreate,
  writeLinkDelete,
  writeVfChange,
} from '../netlink/link.ts';
import type { Pace } from '../netlink/pace.ts';
import { RTM_DELROUTE, RTM_NEWROUTE, writeRoute } from '../netlink/route.ts';
import { type VfSetting, writeVfSetting } from '../netlink/vf.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../netlink/wire/message.ts';

type Operation<Op extends LinkOperation['op']> = Extract<LinkOperation, { readonly op: Op }>;

/** The requests for one operation, in order. `descriptorOf` tells the descriptor of another namespace. */
export function requestsFor(operation: LinkOperation, descriptorOf: (of: Namespace) => number): readonly Request[] {
  switch (operation.op) {
    case 'link.create':
      return [createRequest(operation, descriptorOf)];
    case 'link.set':
      return setRequests(operation, descriptorOf);
    case 'link.delete':
      return [
        {
          type: RTM_DELLINK,
          op: 'link.delete',
          target: `link ${operation.index}`,
          fill: (writer) => writeLinkDelete(writer, operation.index),
        },
      ];
    case 'altname.delete':
      return [
        {
          type: RTM_DELLINKPROP,
          op: 'altname.delete',
          target: `${operation.name} of link ${operation.index}`,
          fill: (writer) => writeAltnameDelete(writer, operation.index, operation.name),
        },
      ];
    case 'vf.set':
      return vfSettings(operation).map((setting) => ({
        type: RTM_NEWLINK,
        op: `vf.set ${setting.name}`,
        target: `VF ${operation.vf} of link ${operation.index}`,
        fill: (writer) => writeVfChange(writer, operation.index, () => writeVfSetting(writer, operation.vf, setting)),
      }));
    case 'address.add':
    case 'address.delete':
      return [addressRequest(operation)];
    case 'route.add':
    case 'route.delete':
      return [routeRequest(operation)];
    default:
      return operation satisfies never;
  }
}

function createRequest(operation: Operation<'link.create'>, descriptorOf: (of: Namespace) => number): Request {
  const { name, parentIndex, mtu, group, into } = operation;
  const namespaceFd = into === undefined ? undefined : descriptorOf(into);
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    op: `link.create ${operation.kind}`,
    pace: 'change',
    target: name,
    fill: (writer) =>
      writeLinkCreate(writer, {
        name,
        parentIndex,
        ...(mtu === undefined ? {} : { mtuBytes: mtu }),
        ...(group === undefined ? {} : { group }),
        ...(namespaceFd === undefined ? {} : { namespaceFd }),
        ...('index' in operation && operation.index !== undefined ? { index: operation.index } : {}),
        ...('mac' in operation && operation.mac !== undefined ? { mac: operation.mac } : {}),
        kind: kindOf(operation),
      }),
  };
}

function kindOf(operation: Operation<'link.create'>): LinkCreation['kind'] {
  switch (operation.kind) {
    case 'macvlan':
    case 'macvtap': {
      const { kind: name, mode, bcQueueLength } = operation;
      return { name, mode, ...(bcQueueLength === undefined ? {} : { bcQueueLength }) };
    }
    case 'ipvlan':
      return { name: 'ipvlan', mode: operation.mode, flag: operation.flag };
    case 'vlan':
      return { name: 'vlan', id: operation.id, protocol: operation.protocol };
    default:
      return operation satisfies never;
  }
}

/**
 * Mostly one request. Down goes before the rest, because a name or a MAC may be refused while the
 * link is up; up goes behind arp_notify, because the kernel announces when it brings the link up.
 */
function setRequests(operation: Operation<'link.set'>, descriptorOf: (of: Namespace) => number): readonly Request[] {
  const { index, name, mac, mtu, up, alias, group, arpNotify, promiscuous, allMulticast, masterIndex, moveTo } =
    operation;
  // Down waits for RCU, a move for more, and a device's driver perhaps for firmware.
  const pace = operation.isSoftware === true && up !== false && moveTo === undefined ? 'change' : 'slow';
  const rest: LinkChange = {
    index,
    ...(name === undefined ? {} : { name }),
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtuBytes: mtu }),
    ...(alias === undefined ? {} : { alias }),
    ...(group === undefined ? {} : { group }),
    ...(arpNotify === undefined ? {} : { arpNotify }),
    ...(promiscuous === undefined ? {} : { promiscuous }),
    ...(allMulticast === undefined ? {} : { allMulticast }),
    ...(masterIndex === undefined ? {} : { masterIndex }),
    ...(moveTo === undefined ? {} : { namespaceFd: descriptorOf(moveTo) }),
  };
  const hasRest = Object.keys(rest).length > 1;
  if (up === undefined) return hasRest ? [setRequest(rest, pace)] : [];
  if (!hasRest) return [setRequest({ index, up }, pace)];
  if (!up) return [setRequest({ index, up }, pace), setRequest(rest, pace)];
  // After a move the index may be another: then up has to be in the same message.
  if (arpNotify === true && moveTo === undefined) return [setRequest(rest, pace), setRequest({ index, up }, pace)];
  return [setRequest({ ...rest, up }, pace)];
}

function setRequest(change: LinkChange, pace: Pace): Request {
  return {
    type: RTM_NEWLINK,
    pace,
    op: change.namespaceFd === undefined ? 'link.set' : 'link.move',
    target: change.name === undefined ? `link ${change.index}` : `link ${change.index} (${change.name})`,
    fill: (writer) => writeLinkChange(writer, change),
  };
}

/** One setting for each attribute, so that each has its own answer. */
function vfSettings(operation: Operation<'vf.set'>): readonly VfSetting[] {
  const { set } = operation;
  const settings: VfSetting[] = [];
  if (set.mac !== undefined) settings.push({ name: 'mac', mac: set.mac });
  if (set.vlan !== undefined) {
    settings.push({
      name: 'vlan',
      vlan: set.vlan,
      qos: set.vlanQos ?? 0,
      // The older attribute is known to more drivers and means 802.1q.
      ...(set.vlanProto === '802.1ad' ? { protocol: set.vlanProto } : {}),
    });
  } else if (set.vlanQos !== undefined || set.vlanProto !== undefined) {
    throw incomplete('vlanQos and vlanProto need vlan', 'vf-vlan-missing');
  }
  if (set.minTxRateMbps !== undefined) {
    if (set.maxTxRateMbps === undefined) throw incomplete('minTxRateMbps needs maxTxRateMbps', 'vf-rate-missing');
    settings.push({ name: 'rate', minMbps: set.minTxRateMbps, maxMbps: set.maxTxRateMbps });
  } else if (set.maxTxRateMbps !== undefined) {
    settings.push({ name: 'max-rate', maxMbps: set.maxTxRateMbps });
  }
  if (set.spoofCheck !== undefined) settings.push({ name: 'spoof-check', on: set.spoofCheck });
  if (set.trust !== undefined) settings.push({ name: 'trust', on: set.trust });
  if (set.nodeGuid !== undefined) settings.push({ name: 'node-guid', guid: set.nodeGuid });
  if (set.portGuid !== undefined) settings.push({ name: 'port-guid', guid: set.portGuid });
  if (set.linkState !== undefined) settings.push({ name: 'link-state', state: set.linkState });
  return settings;
}

function incomplete(message: string, reason: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason,
    message: `vf.set: ${message}, the kernel takes them in one attribute`,
    op: 'vf.set',
  });
}

function addressRequest(operation: Operation<'address.add' | 'address.delete'>): Request {
  const address = prefixToBytes(operation.address);
  const isAdd = operation.op === 'address.add';
  return {
    type: isAdd ? RTM_NEWADDR : RTM_DELADDR,
    flags: isAdd ? NLM_F_CREATE | NLM_F_EXCL : 0,
    op: operation.op,
    pace: 'change',
    target: `${operation.address} on link ${operation.index}`,
    fill: (writer) => writeAddress(writer, operation.index, address, operation.noDad ?? false),
  };
}

function routeRequest(operation: Operation<'route.add' | 'route.delete'>): Request {
  const isAdd = operation.op === 'route.add';
  // Not NLM_F_EXCL, which would refuse every further route to one place, whichever link it goes through.
  const via = operation.gateway === undefined ? '' : ` via ${operation.gateway}`;
  return {
    type: isAdd ? RTM_NEWROUTE : RTM_DELROUTE,
    flags: isAdd ? NLM_F_CREATE : 0,
    op: operation.op,
    pace: 'change',
    target: `${operation.dst}${via} on link ${operation.index}`,
    fill: (writer) => writeRoute(writer, operation.index, operation, isAdd ? 'add' : 'delete'),
  };
}
