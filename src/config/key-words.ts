/**
 * What each key of the configuration file means, in one place for the JSON Schema and for the
 * reference page: `hack/schema` puts both together with the schema's own shapes and limits. A test
 * fails for a key without words. Patterns are looser than the agent's own check never stricter, so
 * that an editor marks nothing which the agent would take.
 */

/** What is known of a key besides its shape. */
export interface KeyWords {
  /** Sentences without a line break, as they stand on the page. */
  readonly meaning: string;
  /** The value that holds when the key is absent. */
  readonly standard?: string | number | boolean;
  /** The same in words, where it is no single value. */
  readonly absent?: string;
  /** Of the text, or of each text of a list: an ECMA 262 regular expression. */
  readonly pattern?: string;
  readonly examples?: readonly unknown[];
}

const PCI = '[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]';
const MAC = '[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}';
const SERIAL = '[\\x21-\\x22\\x24-\\x7e]{1,128}';
const NAME = '[^\\s/:]{1,127}';
/** `#0,2-7` behind a PF. */
const RANGE = '(#\\s*[0-9]{1,9}(-[0-9]{1,9})?\\s*(,\\s*[0-9]{1,9}(-[0-9]{1,9})?\\s*)*)?';
const CIDR = '[0-9A-Fa-f.:%]+/[0-9]{1,3}';
const DRIVER = '[A-Za-z0-9_-]{1,64}';
const GROUP = '[A-Za-z0-9][A-Za-z0-9_.-]{0,62}';
const PCIE_ROOT = 'pci[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}';
const FOLDER = '/.*';

const whole = (pattern: string): string => `^(${pattern})$`;

/** Uplinks by what they are; groups and pools select them alike. */
const UPLINK_KEYS: Readonly<Record<string, KeyWords>> = {
  names: {
    meaning: 'Interface names. `*` and `?` make a pattern. A link that is named without one may be of any kind.',
    examples: [['eth0'], ['ens*']],
  },
  altnames: { meaning: 'Alternative interface names.', pattern: whole(NAME) },
  kinds: {
    meaning: 'Kinds of links as `ip -details link` calls them.',
    pattern: '^[a-z0-9_]{1,15}$',
    examples: [['bond']],
  },
  drivers: { meaning: 'Drivers of the functions behind the links.', pattern: whole(DRIVER) },
  pciAddresses: { meaning: 'Full PCI addresses of the functions behind the links.', pattern: whole(PCI) },
  numaNodes: { meaning: 'NUMA nodes.' },
  pcieRoots: { meaning: 'Host bridges.', pattern: whole(PCIE_ROOT), examples: [['pci0000:40']] },
  serials: {
    meaning: 'Serial numbers of the cards behind the links; `SERIAL@FUNCTION` where ports share one.',
    pattern: whole(SERIAL),
    examples: [['MT2042X00123@1']],
  },
  macs: { meaning: 'Permanent hardware addresses.', pattern: whole(MAC), examples: [['3c:fd:fe:00:00:01']] },
  subnets: {
    meaning: 'Subnets: an address of the link lies in one of them.',
    pattern: whole(CIDR),
    examples: [['10.20.0.0/16']],
  },
};

const POOL_KEYS: Readonly<Record<string, KeyWords>> = {
  name: {
    meaning:
      'The resource is `<resourcePrefix>/<name>`. At most 63 letters, digits, `-`, `_`, `.`; `{uplink}` makes one resource on each uplink of a pool of slots.',
    pattern: '^[A-Za-z0-9{][-A-Za-z0-9_.{}]*$',
    examples: ['fast'],
  },
  kind: {
    meaning:
      'What the pool offers: `vf`, `function` (VFs and whole NICs), `accelerator` and `sf` (scalable functions) give devices away; `macvlan`, `ipvlan`, `macvtap` and `uplink` share uplinks.',
  },
  selectors: {
    meaning: 'Which devices; one that matches any of the list is in. Of kinds that give devices away.',
    absent: 'every device of the kind',
  },
  uplinks: {
    meaning: 'Which uplinks; one that matches any of the list is in. Of kinds that share uplinks.',
    absent: 'those that may be shared',
  },
  capacity: { meaning: 'Slots on each uplink.', standard: 100 },
  mode: { meaning: 'How links of a macvtap pool reach each other.', standard: 'bridge' },
  perPf: { meaning: 'How much of each PF the pool takes.', absent: 'everything' },
  'perPf.keepBack': { meaning: 'The lowest VFs of each PF stay with the node: so many.' },
  'perPf.limit': {
    meaning: 'So many VFs of each PF at most, or that share of them, rounded down.',
    examples: [4, '25%'],
  },
  excludeTopology: { meaning: 'Give kubelet no NUMA node.', standard: false },
  allocation: {
    meaning:
      'Which free devices a container should get: on few PFs (`packed`), on many (`spread`), on one NUMA node and PCIe root (`aligned`), or those used longest ago (`least-used`).',
    standard: 'packed',
  },
  namespaces: {
    meaning: 'Only pods of these namespaces may attach devices of the pool.',
    absent: 'all',
    pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$',
    examples: [['team-a']],
  },
  health: { meaning: 'What takes a device out of use.' },
  'health.linkDown': { meaning: 'The PF or uplink is down or has no carrier.', standard: 'unhealthy' },
  'health.driverChanged': { meaning: 'The device lost the driver that it was offered with.', standard: 'unhealthy' },
  'health.pfReset': { meaning: 'The PF is being reset, or recovers from an error.', standard: 'unhealthy' },
  'health.misplaced': { meaning: 'The network device is not where its attachment says.', standard: 'unhealthy' },
  'health.sharedGroup': {
    meaning: 'The IOMMU group holds a function that keeps vfio from opening it.',
    standard: 'unhealthy',
  },
  'health.holdDownSeconds': {
    meaning: 'How long a device that comes and goes must have been good before it is offered again.',
    standard: 10,
  },
  additionalInfo: {
    meaning:
      'Keys and values for containers, under `extra` of the `_INFO` variable: by PCI address, by VFs of a port (`eth0#0-3`, `SERIAL@1#2`, a hardware address), or `*` for all. The nearest wins.',
    examples: [{ '*': { site: 'north' }, '3c:fd:fe:00:00:01#0-3': { rail: '1' } }],
  },
};

const SELECTOR_KEYS: Readonly<Record<string, KeyWords>> = {
  vendors: { meaning: 'PCI vendor ids, in quotes.', pattern: '^[0-9A-Fa-f]{4}$', examples: [['8086']] },
  devices: { meaning: 'PCI device ids, in quotes.', pattern: '^[0-9A-Fa-f]{4}$', examples: [['154c']] },
  classes: {
    meaning: 'PCI classes, or how they begin, in quotes.',
    pattern: '^([0-9A-Fa-f]{2}){1,3}$',
    examples: [['12']],
  },
  drivers: { meaning: 'Bound drivers.', pattern: whole(DRIVER), examples: [['vfio-pci']] },
  pciAddresses: { meaning: 'Full PCI addresses.', pattern: whole(PCI), examples: [['0000:41:10.0']] },
  acpiIndexes: {
    meaning: 'Indexes that firmware gave the functions, in quotes; VFs have none.',
    pattern: '^[0-9]{1,10}$',
  },
  numaNodes: { meaning: 'NUMA nodes.' },
  pcieRoots: { meaning: 'Host bridges.', pattern: whole(PCIE_ROOT), examples: [['pci0000:40']] },
  pfNames: {
    meaning: 'PFs by interface name or alternative name, with VF numbers after `#`. `*` and `?` make a pattern.',
    pattern: whole(`${NAME.replace('/:', '/:#')}${RANGE}`),
    examples: [['eth0#0,2-7', 'eth1']],
  },
  rootDevices: {
    meaning: 'PFs by PCI address, with VF numbers.',
    pattern: whole(`${PCI}${RANGE}`),
    examples: [['0000:41:00.0#0-3']],
  },
  pfSerials: {
    meaning:
      'PFs by the serial number of their card, with VF numbers; `SERIAL@FUNCTION` where ports share one. The same after a reboot.',
    pattern: whole(`${SERIAL}${RANGE}`),
    examples: [['MT2042X00123@1#0-3']],
  },
  pfMacs: {
    meaning: 'PFs by permanent hardware address, with VF numbers. The same after a reboot.',
    pattern: whole(`${MAC}${RANGE}`),
    examples: [['3c:fd:fe:00:00:01#0-3']],
  },
  pfGroups: { meaning: 'PFs that are in one of these `uplinkGroups`.', pattern: whole(GROUP) },
  pfSubnets: { meaning: 'Subnets: an address of the PF lies in one of them.', pattern: whole(CIDR) },
  linkTypes: { meaning: 'Link types of the network devices.', pattern: '^[a-z0-9/.-]{1,32}$', examples: [['ether']] },
  ddpProfiles: { meaning: 'Names of the DDP packages that the PFs have loaded.' },
  pKeys: {
    meaning: 'Default partition keys of InfiniBand ports.',
    pattern: '^0[xX][0-9A-Fa-f]{1,4}$',
    examples: [['0x8001']],
  },
  isRdma: {
    meaning: 'Only devices with an RDMA device; its character devices go into the container.',
    standard: false,
  },
  needVhostNet: { meaning: 'Give containers `/dev/vhost-net` and `/dev/net/tun` as well.', standard: false },
  vdpaType: { meaning: 'Only devices with a vDPA device on that bus driver.' },
  idleNetdev: { meaning: 'Only VFs with a kernel network device that the node does not use.', standard: false },
};

/** By path: `[]` stands for the items of a list, `*` for the values of a mapping. */
export const KEY_WORDS: Readonly<Record<string, KeyWords>> = {
  $schema: { meaning: 'Where editors find the schema of this file. The agent does not read it.' },
  resourcePrefix: {
    meaning: 'First part of every resource name, a domain in lower case. `--resource-prefix` comes before it.',
    standard: 'berth.dev',
    pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
  },
  uplinkGroups: { meaning: 'Uplinks that belong together, by a name of your own; pools select them by it.' },
  ...below('uplinkGroups.*[]', UPLINK_KEYS),
  keepBack: {
    meaning: 'VFs that stay with the node, whatever pools select: as in `pfNames` or `rootDevices`.',
    pattern: whole(`[^\\s#]{1,127}${RANGE}`),
    examples: [['eth0#0']],
  },
  pools: {
    meaning: 'What the node offers. The first pool that matches a device takes it. `[]` offers nothing.',
    absent: 'the four built-in ones',
  },
  ...below('pools[]', POOL_KEYS),
  ...below('pools[].selectors[]', SELECTOR_KEYS),
  ...below('pools[].uplinks[]', {
    ...UPLINK_KEYS,
    groups: { meaning: 'Links that are in one of these `uplinkGroups`.', pattern: whole(GROUP) },
  }),
  kubelet: { meaning: 'How the agent and kubelet meet.' },
  'kubelet.registration': {
    meaning:
      'kubelet finds the sockets in `plugins_registry` (`watcher`), or the agent calls kubelet (`legacy`, for kubelets before 1.27). `auto` is the watcher where kubelet has its folder.',
    standard: 'auto',
  },
  'kubelet.cdi': { meaning: 'Give device nodes by the Container Device Interface.', standard: false },
  cni: { meaning: 'What the CNI does where the specification leaves a choice.' },
  'cni.allocation': {
    meaning: 'What becomes of an ADD whose device kubelet did not give to the pod.',
    standard: 'enforce',
  },
  'cni.statusFailsOn': { meaning: 'What makes STATUS fail.', examples: [['uplink']] },
  'cni.logDir': { meaning: 'The one folder in which network definitions may have log files.', pattern: whole(FOLDER) },
  paths: { meaning: 'Folders; flags come before them. Read at start.' },
  'paths.kubeletDir': { meaning: "Kubelet's `--root-dir`.", standard: '/var/lib/kubelet', pattern: whole(FOLDER) },
  'paths.deviceInfoDir': {
    meaning: 'Root of the device-info files.',
    standard: '/var/run/k8s.cni.cncf.io/devinfo',
    pattern: whole(FOLDER),
  },
  'paths.cdiDir': { meaning: 'CDI specifications.', standard: '/var/run/cdi', pattern: whole(FOLDER) },
  'paths.runDir': { meaning: 'Sockets and attachment records.', standard: '/run/berth', pattern: whole(FOLDER) },
  'paths.stateDir': { meaning: 'What must outlive a reboot.', standard: '/var/lib/berth', pattern: whole(FOLDER) },
};

function below(path: string, words: Readonly<Record<string, KeyWords>>): Readonly<Record<string, KeyWords>> {
  return Object.fromEntries(Object.entries(words).map(([key, value]) => [`${path}.${key}`, value]));
}
