/** host-local's ranges: parsed, completed with their defaults and checked, every problem at once. */
import { BerthError } from '../errors.ts';
import { asIp, asPrefix, contains, formatIp, type Ip, lastOf, networkOf, type Prefix } from './ip.ts';
import type { IpRange } from './model.ts';

export interface Range {
  readonly subnet: Prefix;
  readonly start: Ip;
  readonly end: Ip;
  readonly gateway: Ip;
}

export interface RangeProblem {
  /** Place in the document, as in `ranges[0][1].rangeStart`. */
  readonly path: string;
  readonly message: string;
}

/** Every problem of the range sets; empty when host-local would take them. */
export function rangeProblems(sets: readonly (readonly IpRange[])[]): readonly RangeProblem[] {
  return read(sets).problems;
}

/** Those of a network are asked for by each of its pods. */
const parsedBefore = new WeakMap<readonly (readonly IpRange[])[], readonly (readonly Range[])[]>();

/** The sets with defaults filled in. Throws `Invalid` (`ranges-invalid`) with every problem. */
export function parseRangeSets(sets: readonly (readonly IpRange[])[]): readonly (readonly Range[])[] {
  const before = parsedBefore.get(sets);
  if (before !== undefined) return before;
  const { ranges, problems } = read(sets);
  if (problems.length === 0) {
    parsedBefore.set(sets, ranges);
    return ranges;
  }
  throw new BerthError({
    code: 'Invalid',
    reason: 'ranges-invalid',
    message: problems.map((problem) => `${problem.path}: ${problem.message}`).join('; '),
    remedy: 'Correct the ranges of the IPAM configuration.',
  });
}

function read(sets: readonly (readonly IpRange[])[]): { ranges: Range[][]; problems: RangeProblem[] } {
  const problems: RangeProblem[] = [];
  if (sets.length === 0) problems.push({ path: 'ranges', message: 'there is no range' });
  const placed: { path: string; set: number; range: Range }[] = [];
  const ranges = sets.map((set, setIndex) => {
    if (set.length === 0) problems.push({ path: `ranges[${setIndex}]`, message: 'the set is empty' });
    return set.flatMap((spec, index) => {
      const path = `ranges[${setIndex}][${index}]`;
      const range = readRange(spec, path, problems);
      if (range === undefined) return [];
      for (const other of placed) {
        if (other.set === setIndex && other.range.subnet.ip.family !== range.subnet.ip.family)
          problems.push({ path, message: `another family than ${other.path}: a set has one family` });
        if (overlap(other.range, range)) problems.push({ path, message: `overlaps with ${other.path}` });
      }
      placed.push({ path, set: setIndex, range });
      return [range];
    });
  });
  return { ranges, problems };
}

function readRange(spec: IpRange, path: string, problems: RangeProblem[]): Range | undefined {
  const subnet = asPrefix(spec.subnet);
  if (subnet === undefined) {
    problems.push({
      path: `${path}.subnet`,
      message: `${JSON.stringify(spec.subnet)} is not a network in CIDR notation`,
    });
    return undefined;
  }
  const bits = subnet.ip.family === 4 ? 32 : 128;
  if (subnet.length > bits - 2) {
    problems.push({ path: `${path}.subnet`, message: `${spec.subnet} is too small to take addresses from` });
    return undefined;
  }
  if (subnet.ip.value !== networkOf(subnet)) {
    problems.push({
      path: `${path}.subnet`,
      message: `${spec.subnet} has host bits set; the network is ${formatIp({ family: subnet.ip.family, value: networkOf(subnet) })}/${subnet.length}`,
    });
    return undefined;
  }
  const family = subnet.ip.family;
  const before = problems.length;
  const inside = (name: 'rangeStart' | 'rangeEnd', fallback: bigint): Ip => {
    const text = spec[name];
    if (text === undefined) return { family, value: fallback };
    const ip = asIp(text);
    if (ip === undefined)
      problems.push({ path: `${path}.${name}`, message: `${JSON.stringify(text)} is not an IP address` });
    else if (!contains(subnet, ip))
      problems.push({ path: `${path}.${name}`, message: `${text} is not in ${spec.subnet}` });
    return ip ?? { family, value: fallback };
  };
  const start = inside('rangeStart', networkOf(subnet) + 1n);
  // host-local ends an IPv4 network before its broadcast address, an IPv6 one at its last.
  const end = inside('rangeEnd', lastOf(subnet) - (family === 4 ? 1n : 0n));
  let gateway: Ip = { family, value: networkOf(subnet) + 1n };
  if (spec.gateway !== undefined) {
    const ip = asIp(spec.gateway);
    if (ip === undefined)
      problems.push({ path: `${path}.gateway`, message: `${JSON.stringify(spec.gateway)} is not an IP address` });
    else gateway = ip;
  }
  if (problems.length > before) return undefined;
  if (start.value > end.value) {
    problems.push({ path, message: `rangeStart ${formatIp(start)} is after rangeEnd ${formatIp(end)}` });
    return undefined;
  }
  return { subnet, start, end, gateway };
}

function overlap(a: Range, b: Range): boolean {
  return a.subnet.ip.family === b.subnet.ip.family && a.start.value <= b.end.value && b.start.value <= a.end.value;
}
