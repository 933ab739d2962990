/**
 * What a DEL or CHECK says of an attachment that another plugin may have made before Berth was
 * installed under its name. Read leniently: whatever is not there or not valid is left out, since
 * nothing of it may keep a pod from going away.
 */
import type { LinkKind } from '../engine/attachments/model.ts';
import type { Predecessor } from '../engine/attachments/peers/port.ts';
import { type AddressPlace, DEFAULT_DATA_DIR } from '../engine/ipam/model.ts';
import { asMacAddress, asNetworkName, type MacAddress } from '../engine/values.ts';
import { parseDelegatedIpam } from './delegated-ipam.ts';
import { optional } from './optional.ts';
import type { ShimRequest } from './protocol.ts';

/** Names of the plugins that Berth replaces; `berth` itself never was another program. */
const KINDS: ReadonlyMap<unknown, LinkKind> = new Map([
  ['sriov', 'vf'],
  ['macvlan', 'macvlan'],
  ['ipvlan', 'ipvlan'],
  ['vlan', 'vlan'],
  ['host-device', 'host-device'],
]);

type Fields = Readonly<Record<string, unknown>>;

/** `undefined` when the configuration is none of a plugin that Berth replaces. */
export function parsePredecessor(fields: Fields, call: ShimRequest): Predecessor | undefined {
  const network = typeof fields.name === 'string' ? asNetworkName(fields.name) : undefined;
  const kind = KINDS.get(fields.type ?? call.argv0);
  if (network === undefined || kind === undefined) return undefined;
  const ifname = call.environment.get('CNI_IFNAME') ?? '';
  return {
    network,
    kind,
    ...optional('addresses', placeOf(fields, call)),
    ...optional('mac', previousMac(fields.prevResult, ifname)),
    ...optional('master', typeof fields.master === 'string' ? fields.master : undefined),
  };
}

function placeOf(fields: Fields, call: ShimRequest): AddressPlace | undefined {
  const ipam = asObject(fields.ipam);
  if (ipam?.type === 'host-local') {
    const { dataDir } = ipam;
    return { type: 'host-local', dataDir: typeof dataDir === 'string' && dataDir !== '' ? dataDir : DEFAULT_DATA_DIR };
  }
  const problems: never[] = [];
  const delegated = parseDelegatedIpam(fields, call, problems);
  return problems.length > 0 ? undefined : delegated;
}

function previousMac(previous: unknown, ifname: string): MacAddress | undefined {
  const interfaces = asObject(previous)?.interfaces;
  if (!Array.isArray(interfaces)) return undefined;
  const entry = interfaces
    .map(asObject)
    .find((each) => each?.name === ifname && typeof each.sandbox === 'string' && each.sandbox !== '');
  return typeof entry?.mac === 'string' ? asMacAddress(entry.mac) : undefined;
}

function asObject(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
