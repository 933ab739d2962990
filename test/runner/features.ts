/**
 * What a test may need from the machine, and what to do without it. A missing feature skips the test
 * loudly on a laptop and fails it where `CI=true` says that everything must be there.
 *
 * ```ts
 * if (requireFeature('macvlan', hasLinkKind('macvlan'))) {
 *   test('a macvlan is made', () => { ... });
 * }
 * test.run();
 * ```
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { emit } from './events.ts';

/** The link kinds that can be probed, with what `ip link add link PARENT name NAME type KIND` needs further. */
const PROBE_ARGUMENTS = {
  bridge: [],
  dummy: [],
  ipvlan: ['mode', 'l2'],
  ipvtap: ['mode', 'l2'],
  macvlan: ['mode', 'bridge'],
  macvtap: ['mode', 'bridge'],
  veth: [],
  vlan: ['id', '7'],
  vrf: ['table', '10'],
  vxlan: ['id', '7', 'dstport', '4789'],
} as const satisfies Record<string, readonly string[]>;

export type LinkKind = keyof typeof PROBE_ARGUMENTS;

/** The kinds that stand on another link. */
const STACKED: readonly LinkKind[] = ['ipvlan', 'ipvtap', 'macvlan', 'macvtap', 'vlan'];

/**
 * True when the feature is there. When it is not: prints `SKIPPED: needs <name>` and returns false,
 * upon which the caller defines no test that needs it; with `CI=true` throws instead.
 */
export function requireFeature(name: string, present: boolean): boolean {
  if (present) return true;
  if (process.env.CI === 'true') throw new Error(`needs ${name}, which has to be there when CI=true`);
  process.stdout.write(`SKIPPED: needs ${name}\n`);
  emit({ type: 'missing-feature', name });
  return false;
}

/** True for the superuser, who may make namespaces and links. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** True when this kernel makes links of that kind; tried in a network namespace that ends with the probe. */
export function hasLinkKind(kind: LinkKind): boolean {
  if (!isRoot()) return false;
  const parent = STACKED.includes(kind) ? ['link', 'probe0'] : [];
  const add = ['ip', 'link', 'add', ...parent, 'name', 'probe2', 'type', kind, ...PROBE_ARGUMENTS[kind]];
  const script = 'ip link add probe0 type veth peer name probe1 && exec "$@"';
  return spawnSync('unshare', ['--net', 'sh', '-c', script, 'sh', ...add], { stdio: 'ignore' }).status === 0;
}

/** True when at least one PCI function here can have virtual functions. */
export function hasSriov(root = '/'): boolean {
  const devices = join(root, 'sys/bus/pci/devices');
  return readdirSync(devices).some((address) => readdirSync(join(devices, address)).includes('sriov_totalvfs'));
}
