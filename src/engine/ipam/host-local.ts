/**
 * host-local's algorithm over its folder, step for step what the Go plugin does, so that both may
 * run on one node: one address from each range set, round robin after `last_reserved_ip.<set>`, the
 * gateway skipped. Debug: `ls <dataDir>/<network>`; a file's content is `<containerID>\r\n<ifname>`.
 */
import { BerthError } from '../errors.ts';
import { asIp, formatIp, type Ip } from './ip.ts';
import type { HostLocalSpec, IpamOwner, IpamResult, IpRange } from './model.ts';
import type { ReservationFolder } from './port.ts';
import { parseRangeSets, type Range } from './ranges.ts';

/** What an owner's files hold. */
export function reservationContent(owner: Pick<IpamOwner, 'containerId' | 'ifname'>): string {
  return `${owner.containerId}\r\n${owner.ifname}`;
}

/**
 * Takes one address from every set, under the network's lock. All or nothing: on an error what was
 * taken is given back. Throws `Exhausted` (`address-range-exhausted`), `Busy` (`address-taken`),
 * `Invalid` (`requested-address-invalid`, `ranges-invalid`, `address-already-reserved`).
 */
export function reserveAddresses(
  folder: ReservationFolder,
  spec: HostLocalSpec,
  owner: IpamOwner,
): IpamResult['addresses'] {
  const sets = parseRangeSets(spec.rangeSets);
  const requested = requestedBySet(spec, sets);
  const content = reservationContent(owner);
  refuseDuplicate(folder, sets, content, owner);
  const taken: Ip[] = [];
  try {
    return sets.map((ranges, set) => {
      const asked = requested.get(set);
      const { ip, range } =
        asked === undefined
          ? takeNext(folder, ranges, set, content, spec.rangeSets[set] ?? [])
          : takeRequested(folder, ranges, asked, content);
      taken.push(ip);
      folder.setLastReserved(set, formatIp(ip));
      return { address: `${formatIp(ip)}/${range.subnet.length}`, gateway: formatIp(range.gateway) };
    });
  } catch (error) {
    for (const ip of taken) folder.release(formatIp(ip), content);
    throw error;
  }
}

/**
 * Gives back every address of the owner, and no other. Answers which. Where it has none, those that
 * name its container alone are its: early releases of host-local wrote no interface.
 */
export function releaseAddresses(folder: ReservationFolder, owner: IpamOwner): readonly string[] {
  const contents = [reservationContent(owner), owner.containerId];
  for (const content of contents) {
    const released = folder.find(content).filter((ip) => folder.release(ip, content));
    if (released.length > 0) return released;
  }
  // What is remembered is old where the Go plugin gave an address back and took it again for this owner.
  const now = [...folder.list()];
  for (const content of contents) {
    const released = now.flatMap(([ip, held]) => (held === content && folder.release(ip, content) ? [ip] : []));
    if (released.length > 0) return released;
  }
  return [];
}

function refuseDuplicate(
  folder: ReservationFolder,
  sets: readonly (readonly Range[])[],
  content: string,
  owner: IpamOwner,
): void {
  for (const name of folder.find(content)) {
    const ip = asIp(name);
    if (ip === undefined || !sets.some((ranges) => ranges.some((range) => within(range, ip)))) continue;
    throw new BerthError({
      code: 'Invalid',
      reason: 'address-already-reserved',
      message: `${name} is already reserved for interface ${owner.ifname} of container ${owner.containerId}`,
      remedy: 'The runtime must send DEL before it adds the same interface again.',
    });
  }
}

function takeRequested(
  folder: ReservationFolder,
  ranges: readonly Range[],
  ip: Ip,
  content: string,
): { ip: Ip; range: Range } {
  const range = ranges.find((candidate) => within(candidate, ip)) as Range;
  const text = formatIp(ip);
  if (same(ip, range.gateway)) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'requested-address-invalid',
      message: `the requested address ${text} is the gateway of its subnet`,
      remedy: 'Ask for another address.',
    });
  }
  if (folder.reserve(text, content)) return { ip, range };
  throw new BerthError({
    code: 'Busy',
    reason: 'address-taken',
    message: `the requested address ${text} is in use${describeHolder(folder.list().get(text))}`,
    remedy: 'Ask for another address, or wait until its holder has gone.',
  });
}

function takeNext(
  folder: ReservationFolder,
  ranges: readonly Range[],
  set: number,
  content: string,
  spec: readonly IpRange[],
): { ip: Ip; range: Range } {
  const reserved = folder.names();
  for (const candidate of roundRobin(ranges, folder.lastReserved(set))) {
    const text = formatIp(candidate.ip);
    // A name seen in the listing is not tried; reserving decides, in case it appeared since.
    if (reserved.has(text) || !folder.reserve(text, content)) continue;
    return candidate;
  }
  // Only now, since it reads every file: what a plugin that was killed had not written yet.
  for (const candidate of roundRobin(ranges, folder.lastReserved(set))) {
    const text = formatIp(candidate.ip);
    if (reserved.has(text) && folder.removeEmpty(text) && folder.reserve(text, content)) return candidate;
  }
  const size = ranges.reduce((sum, range) => sum + (range.end.value - range.start.value + 1n), 0n);
  const names = spec.map((range) => range.subnet).join(', ');
  throw new BerthError({
    code: 'Exhausted',
    reason: 'address-range-exhausted',
    message: `no address is free in range set ${set} (${names}): ${describeSet(ranges)} hold ${size} addresses, gateway included, and ${countWithin(reserved, ranges)} are reserved`,
    remedy: 'Make the range larger, or look for reservations of containers that no longer exist.',
  });
}

/** Every address once, beginning after the last one reserved, range after range. */
function* roundRobin(ranges: readonly Range[], lastReserved: string | undefined): Generator<{ ip: Ip; range: Range }> {
  const last = lastReserved === undefined ? undefined : asIp(lastReserved.trim());
  const at = last === undefined ? -1 : ranges.findIndex((range) => within(range, last));
  const first = Math.max(at, 0);
  const resume = at < 0 || last === undefined ? undefined : last.value;
  for (let step = 0; step <= ranges.length; step += 1) {
    const range = ranges[(first + step) % ranges.length] as Range;
    const wrapped = step === ranges.length;
    const from = step === 0 && resume !== undefined ? resume + 1n : range.start.value;
    // Back in the first range, it ends where it began.
    const to = wrapped ? (resume ?? range.start.value - 1n) : range.end.value;
    for (let value = from; value <= to; value += 1n) {
      const ip: Ip = { family: range.subnet.ip.family, value };
      if (!same(ip, range.gateway)) yield { ip, range };
    }
  }
}

function requestedBySet(spec: HostLocalSpec, sets: readonly (readonly Range[])[]): Map<number, Ip> {
  const bySet = new Map<number, Ip>();
  for (const text of spec.requested) {
    const ip = asIp(text.split('/')[0] ?? '');
    // Multus writes the same request into several places.
    if (ip !== undefined && [...bySet.values()].some((before) => same(before, ip))) continue;
    const set =
      ip === undefined
        ? -1
        : sets.findIndex((ranges, index) => !bySet.has(index) && ranges.some((range) => within(range, ip)));
    if (ip === undefined || set < 0) {
      throw new BerthError({
        code: 'Invalid',
        reason: 'requested-address-invalid',
        message: `the requested address ${text} is ${ip === undefined ? 'not an IP address' : whyNot(sets, ip)}`,
        remedy: `Ask for at most one address of each set: ${sets.map(describeSet).join('; ')}.`,
      });
    }
    bySet.set(set, ip);
  }
  return bySet;
}

function whyNot(sets: readonly (readonly Range[])[], ip: Ip): string {
  const isIn = sets.some((ranges) => ranges.some((range) => within(range, ip)));
  return isIn ? 'the second one of its range set, which gives one' : 'in no range of this network';
}

function describeSet(ranges: readonly Range[]): string {
  return ranges.map(({ start, end }) => `${formatIp(start)}-${formatIp(end)}`).join(', ');
}

function within(range: Range, ip: Ip): boolean {
  return ip.family === range.subnet.ip.family && ip.value >= range.start.value && ip.value <= range.end.value;
}

function same(a: Ip, b: Ip): boolean {
  return a.family === b.family && a.value === b.value;
}

function countWithin(names: Iterable<string>, ranges: readonly Range[]): number {
  let count = 0;
  for (const name of names) {
    const ip = asIp(name);
    if (ip !== undefined && ranges.some((range) => within(range, ip))) count += 1;
  }
  return count;
}

function describeHolder(content: string | undefined): string {
  const [id, ifname] = (content ?? '').split(/\r?\n/);
  return id === undefined || id === ''
    ? ''
    : ` by ${ifname === undefined ? 'an interface' : ifname} of container ${id}`;
}
