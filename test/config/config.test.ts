import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { parseConfig, readConfig } from '../../src/config/index.ts';

const full = `# all there is
resourcePrefix: example.com
kubelet:
  registration: legacy
paths:
  kubeletDir: /var/lib/k0s/kubelet
pools:
  - name: fast
    kind: vf
    excludeTopology: true
    selectors:
      - vendors: ["8086", "15B3"]
        pfNames: ["eth0#0,2-7", eth1]
      - rootDevices: ["0000:41:00.0#1"]
        idleNetdev: true
        linkTypes: [ether]
        isRdma: true
    health: {linkDown: ignore}
    additionalInfo:
      "*": {site: a}
      "0000:41:10.0": {site: b}
  - name: shared
    kind: macvlan
    capacity: 7
    uplinks:
      - names: [eth0]
      - subnets: [10.0.0.0/16, "2001:db8::/32"]
`;

test('ports by what stays the same over a reboot, and the namespaces that may use them', () => {
  const { config, problems } = parseConfig(
    `pools:
  - name: fast
    kind: vf
    namespaces: [team-a, team-b]
    selectors:
      - pfSerials: ["MT2042X00123@1#0-3", XYZ]
        pfMacs: ["3C-FD-FE-00-00-01#7"]
  - name: shared
    kind: macvlan
    uplinks: [{macs: ["3C:FD:FE:00:00:02"]}, {serials: [XYZ@0]}]
`,
    'c.yaml',
  );
  assert.deepEqual(problems, []);
  const [fast, shared] = config?.pools ?? [];
  assert.deepEqual(fast?.namespaces, ['team-a', 'team-b']);
  assert.deepEqual(fast?.kind === 'vf' && fast.selectors, [
    {
      pfSerials: [{ pf: 'MT2042X00123@1', ranges: [[0, 3]] }, { pf: 'XYZ' }],
      pfMacs: [{ pf: '3c:fd:fe:00:00:01', ranges: [[7, 7]] }],
    },
  ]);
  assert.deepEqual(shared?.kind === 'macvlan' && shared.uplinks, [
    { macs: ['3c:fd:fe:00:00:02'] },
    { serials: ['XYZ@0'] },
  ]);
});

for (const [field, line] of [
  ['namespaces: []', 'the list is empty'],
  ['namespaces: [Team]', '"Team" cannot be the name of a namespace'],
  ['namespaces: [kube-system, a/b]', '"a/b" cannot be the name of a namespace'],
  ['selectors: [{pfMacs: [eth0]}]', '"eth0" is not a hardware address, as in 3c:fd:fe:00:00:01'],
  ['selectors: [{pfMacs: ["3c:fd:fe:00:00:01#3-1"]}]', 'ends before it begins'],
  ['selectors: [{pfSerials: ["A B"]}]', '"A B" cannot be a serial number'],
] as const) {
  test(`${field} is refused`, () => {
    const { problems } = parseConfig(`pools: [{name: a, kind: vf, ${field}}]`, 'c.yaml');
    assert.equal(problems.length, 1);
    assert.ok(problems[0]?.message.includes(line), problems[0]?.message);
  });
}

test('everything that a file can say arrives', () => {
  const { config, problems } = parseConfig(full, 'config.yaml');
  assert.deepEqual(problems, []);
  assert.equal(config?.registration, 'legacy');
  assert.deepEqual(config?.paths, { kubeletDir: '/var/lib/k0s/kubelet' });
  assert.deepEqual(config?.pools, [
    {
      resource: 'example.com/fast',
      origin: 'config.yaml:8',
      excludeTopology: true,
      health: { linkDown: 'ignore', driverChanged: 'unhealthy' },
      kind: 'vf',
      selectors: [
        {
          vendors: ['8086', '15b3'],
          pfNames: [
            {
              pf: 'eth0',
              ranges: [
                [0, 0],
                [2, 7],
              ],
            },
            { pf: 'eth1' },
          ],
        },
        {
          rootDevices: [{ pf: '0000:41:00.0', ranges: [[1, 1]] }],
          linkTypes: ['ether'],
          isRdma: true,
          idleNetdev: true,
        },
      ],
      additionalInfo: { '*': { site: 'a' }, '0000:41:10.0': { site: 'b' } },
    },
    {
      resource: 'example.com/shared',
      origin: 'config.yaml:22',
      excludeTopology: false,
      health: { linkDown: 'unhealthy', driverChanged: 'unhealthy' },
      kind: 'macvlan',
      uplinks: [{ names: ['eth0'] }, { subnets: ['10.0.0.0/16', '2001:db8::/32'] }],
      capacity: 7,
    },
  ]);
});

for (const [name, text] of [
  ['an empty file', ''],
  ['a file of comments', '# nothing\n'],
  ['an empty object', '{}'],
] as const) {
  test(`${name} is the zero configuration`, () => {
    const { config } = parseConfig(text, 'f');
    assert.deepEqual(
      config?.pools.map((pool) => pool.resource),
      ['berth.dev/vf', 'berth.dev/vf-vfio', 'berth.dev/macvlan', 'berth.dev/ipvlan'],
    );
    assert.equal(config?.registration, 'auto');
  });
}

test('a prefix alone renames the built-in pools', () => {
  const { config } = parseConfig('resourcePrefix: example.com', 'f');
  assert.deepEqual(config?.pools.map((pool) => pool.resource)[0], 'example.com/vf');
});

test('an empty list of pools offers nothing', () => {
  assert.deepEqual(parseConfig('pools: []', 'f').config?.pools, []);
});

test('JSON with tabs is read as JSON', () => {
  const { config, problems } = parseConfig('{\n\t"pools": [\n\t\t{"name": "a", "kind": "vf"}\n\t]\n}\n', 'c.json');
  assert.deepEqual(problems, []);
  assert.equal(config?.pools[0]?.origin, 'c.json:3');
});

const pool = (body: string): string => `pools:\n- name: a\n${body.replaceAll(/^/gm, '  ')}\n`;

/** Text, then each problem as `line path: message (hint)`. */
const broken: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a misspelt key at the top',
    'resourcePrefx: a.b\n',
    ['1 resourcePrefx: unknown key "resourcePrefx" (did you mean resourcePrefix?)'],
  ],
  [
    'a misspelt key of a pool',
    pool('kind: vf\nselector: []'),
    ['4 pools[0].selector: unknown key "selector" (did you mean selectors?)'],
  ],
  [
    'a misspelt key of a selector',
    pool('kind: vf\nselectors:\n- vendor: ["8086"]'),
    ['5 pools[0].selectors[0].vendor: unknown key "vendor" (did you mean vendors?)'],
  ],
  [
    'a key that is like none',
    pool('kind: vf\nzzzzzzzz: 1'),
    [
      '4 pools[0].zzzzzzzz: unknown key "zzzzzzzz" (known here: name, kind, selectors, uplinks, capacity, mode, perPf, excludeTopology, allocation, namespaces, health, additionalInfo)',
    ],
  ],
  [
    'a kind that is misspelt',
    pool('kind: maclan'),
    [
      '3 pools[0].kind: "maclan" is not one of vf, function, accelerator, sf, macvlan, ipvlan, macvtap, uplink (did you mean macvlan?)',
    ],
  ],
  [
    'a kind that is missing',
    'pools:\n- name: a\n',
    ['2 pools[0].kind: required: one of vf, function, accelerator, sf, macvlan, ipvlan, macvtap, uplink'],
  ],
  ['a name that is missing', 'pools:\n- kind: vf\n', ['2 pools[0].name: required: a text']],
  ['a pool that is a text', 'pools:\n- vf\n', ['2 pools[0]: a mapping is expected, not the text "vf"']],
  ['pools that are no list', 'pools: 5\n', ['1 pools: a list is expected, not 5']],
  ['pools that are nothing', 'pools:\n', ['1 pools: a list is expected, not nothing']],
  [
    'selectors that are nothing',
    pool('kind: vf\nselectors: null'),
    ['4 pools[0].selectors: a list is expected, not nothing'],
  ],
  [
    'an empty list of selectors',
    pool('kind: vf\nselectors: []'),
    ['4 pools[0].selectors: the list is empty (leave the key out to mean all)'],
  ],
  [
    'a reversed range',
    pool('kind: vf\nselectors:\n- pfNames: ["eth0#7-2"]'),
    ['5 pools[0].selectors[0].pfNames[0]: the range 7-2 in "eth0#7-2" ends before it begins'],
  ],
  [
    'a range beyond what can be',
    pool('kind: vf\nselectors:\n- pfNames: ["eth0#0-65536"]'),
    ['5 pools[0].selectors[0].pfNames[0]: VF 65536 in "eth0#0-65536" is beyond 65535, the highest that can be'],
  ],
  [
    'a range of letters',
    pool('kind: vf\nselectors:\n- pfNames: ["eth0#a"]'),
    ['5 pools[0].selectors[0].pfNames[0]: "a" in "eth0#a" is neither a VF number nor a range of them'],
  ],
  [
    'a range without numbers',
    pool('kind: vf\nselectors:\n- pfNames: ["eth0#"]'),
    ['5 pools[0].selectors[0].pfNames[0]: "" in "eth0#" is neither a VF number nor a range of them'],
  ],
  [
    'a PF by a name that cannot be',
    pool('kind: vf\nselectors:\n- rootDevices: ["41:00.0"]'),
    ['5 pools[0].selectors[0].rootDevices[0]: "41:00.0" is not a full PCI address, as in 0000:41:10.0'],
  ],
  [
    'a vendor that is no id',
    pool('kind: vf\nselectors:\n- vendors: ["0x8086"]'),
    ['5 pools[0].selectors[0].vendors[0]: "0x8086" is not a PCI id of four hexadecimal digits, as in 8086'],
  ],
  [
    'a vendor that YAML takes for a number',
    pool('kind: vf\nselectors:\n- vendors: [8086]'),
    ['5 pools[0].selectors[0].vendors[0]: a text is expected, not 8086'],
  ],
  [
    'a subnet in short form',
    pool('kind: macvlan\nuplinks:\n- subnets: [10.1/16, 010.0.0.0/8]'),
    [
      '5 pools[0].uplinks[0].subnets[0]: "10.1/16" is not a subnet, as in 10.0.0.0/16',
      '5 pools[0].uplinks[0].subnets[1]: "010.0.0.0/8" is not a subnet, as in 10.0.0.0/16',
    ],
  ],
  [
    'a subnet that is none',
    pool('kind: macvlan\nuplinks:\n- subnets: [10.0.0.0]'),
    ['5 pools[0].uplinks[0].subnets[0]: "10.0.0.0" is not a subnet, as in 10.0.0.0/16'],
  ],
  ['a capacity of none', pool('kind: macvlan\ncapacity: 0'), ['4 pools[0].capacity: 0 is less than 1']],
  ['a capacity of too many', pool('kind: macvlan\ncapacity: 10001'), ['4 pools[0].capacity: 10001 is more than 10000']],
  [
    'a capacity that is broken',
    pool('kind: macvlan\ncapacity: 1.5'),
    ['4 pools[0].capacity: a whole number is expected, not 1.5'],
  ],
  [
    'uplinks of VFs',
    pool('kind: vf\nuplinks: [{names: [eth0]}]'),
    ['4 pools[0].uplinks: uplinks does not apply to kind vf (vf pools have selectors)'],
  ],
  [
    'selectors of uplinks',
    pool('kind: ipvlan\nselectors: [{vendors: ["8086"]}]'),
    ['4 pools[0].selectors: selectors does not apply to kind ipvlan (ipvlan pools have uplinks)'],
  ],
  [
    'two pools of one name',
    'pools:\n- name: a\n  kind: vf\n- name: a\n  kind: vf\n',
    ['4 pools[1].name: the pool a is there already, on line 2 (give one of them another name)'],
  ],
  [
    'two names of one variable',
    'pools:\n- name: a-b\n  kind: vf\n- name: A_b\n  kind: vf\n',
    [
      '4 pools[1].name: A_b and a-b (line 2) give containers the same environment variable, A_B (give one of them another name)',
    ],
  ],
  [
    'a prefix of Kubernetes',
    'resourcePrefix: net.kubernetes.io\n',
    ['1 resourcePrefix: net.kubernetes.io belongs to Kubernetes, which refuses it for plugins'],
  ],
  [
    'a prefix of quotas',
    'resourcePrefix: requests.example.com\n',
    ['1 resourcePrefix: requests.example.com begins with "requests.", which Kubernetes keeps for quotas'],
  ],
  [
    'a prefix that leaves its folder',
    'resourcePrefix: ../../etc\n',
    ['1 resourcePrefix: "../../etc" is not a domain in lower case, as in berth.dev'],
  ],
  [
    'a prefix that is too long',
    `resourcePrefix: ${'a.'.repeat(122)}ab\n`,
    ['1 resourcePrefix: the prefix has 246 characters; 244 are allowed'],
  ],
  [
    'a name that leaves its folder',
    'pools:\n- name: ../x\n  kind: vf\n',
    [
      '2 pools[0].name: "../x" is not a resource name: letters, digits, "-", "_" and ".", a letter or digit at both ends',
    ],
  ],
  [
    'a name that is too long',
    `pools:\n- name: ${'x'.repeat(64)}\n  kind: vf\n`,
    ['2 pools[0].name: the name has 64 characters; 63 are allowed'],
  ],
  ['a path that is relative', 'paths:\n  runDir: run\n', ['2 paths.runDir: "run" is not an absolute path']],
  ['a path that climbs', 'paths:\n  runDir: /run/../etc\n', ['2 paths.runDir: "/run/../etc" leaves its own path']],
  [
    'additional information for no address',
    pool('kind: vf\nadditionalInfo: {eth0: {a: b}}'),
    [
      '4 pools[0].additionalInfo.eth0: "eth0" is neither "*" nor a full PCI address, as in 0000:41:10.0, nor VFs of a port, as in eth0#0-3',
    ],
  ],
  [
    'additional information that is no text',
    pool('kind: vf\nadditionalInfo: {"*": {a: 1}}'),
    ['4 pools[0].additionalInfo["*"].a: a text is expected, not 1'.replace('["*"]', '."*"')],
  ],
  [
    'a registration that is misspelt',
    'kubelet: {registration: watch}\n',
    ['1 kubelet.registration: "watch" is not one of auto, watcher, legacy (did you mean watcher?)'],
  ],
  [
    'a key that is there twice',
    'pools: []\npools: []\n',
    ['2 pools: the key "pools" is there already, on line 1 (leave one of them out)'],
  ],
  [
    'a key that is there twice deep inside',
    pool('kind: vf\nselectors:\n- vendors: ["8086"]\n  vendors: ["15b3"]'),
    ['6 pools[0].selectors[0].vendors: the key "vendors" is there already, on line 5 (leave one of them out)'],
  ],
  [
    'a mode of links that have theirs elsewhere',
    pool('kind: macvlan\nmode: bridge'),
    ['4 pools[0].mode: mode does not apply to kind macvlan (the mode of the others is part of the network)'],
  ],
  [
    'a mode that is none',
    pool('kind: macvtap\nmode: brige'),
    ['4 pools[0].mode: "brige" is not one of bridge, private, vepa, passthru (did you mean bridge?)'],
  ],
  [
    'a share of slots',
    pool('kind: uplink\nperPf: {limit: 1}'),
    ['4 pools[0].perPf: perPf does not apply to kind uplink (uplink pools have uplinks)'],
  ],
  ...['0', '"0%"', '"101%"', '"many"', '1.5'].map((limit): [string, string, string[]] => [
    `a share of ${limit}`,
    pool(`kind: vf\nperPf: {limit: ${limit}}`),
    ['4 pools[0].perPf.limit: a number of VFs from 1 to 65535 is expected, or a share from "1%" to "100%"'],
  ]),
  [
    'a group that is not there',
    `uplinkGroups: {storage: [{names: [eth0]}]}\n${pool('kind: macvlan\nuplinks: [{groups: [storge]}]')}`,
    ['5 pools[0].uplinks[0].groups[0]: there is no group "storge" (did you mean storage?)'],
  ],
  [
    'a group where there are none',
    pool('kind: vf\nselectors: [{pfGroups: [storage]}]'),
    ['4 pools[0].selectors[0].pfGroups[0]: there is no group "storage" (uplinkGroups says what groups there are)'],
  ],
  [
    'a group in a group',
    'uplinkGroups:\n  a: [{groups: [b]}]\n  b: [{names: [eth0]}]\n',
    [
      '2 uplinkGroups.a[0].groups: unknown key "groups" (known here: names, altnames, kinds, drivers, pciAddresses, numaNodes, pcieRoots, serials, macs, subnets)',
    ],
  ],
  [
    'a name of a group that cannot be',
    'uplinkGroups: {../a: [{names: [eth0]}]}\n',
    ['1 uplinkGroups."../a": "../a" is not the name of a group'],
  ],
  [
    'a pool of VFs on each uplink',
    'pools:\n- name: "{uplink}-vf"\n  kind: vf\n',
    ['2 pools[0].name: only pools of slots can be one resource on each uplink (leave {uplink} out of the name)'],
  ],
  [
    'a name that is too long on some uplink',
    `pools:\n- name: "{uplink}-${'x'.repeat(48)}"\n  kind: uplink\n`,
    ['2 pools[0].name: the name has 64 characters; 63 are allowed'],
  ],
  [
    'a NUMA node that cannot be',
    pool('kind: vf\nselectors: [{numaNodes: [-1]}]'),
    ['4 pools[0].selectors[0].numaNodes[0]: -1 is less than 0'],
  ],
  [
    'a PCIe root that is none',
    pool('kind: vf\nselectors: [{pcieRoots: ["0000:40"]}]'),
    ['4 pools[0].selectors[0].pcieRoots[0]: "0000:40" is not a PCIe root, as in pci0000:40'],
  ],
  [
    'a class that is none',
    pool('kind: accelerator\nselectors: [{classes: ["0x12"]}]'),
    [
      '4 pools[0].selectors[0].classes[0]: "0x12" is not a PCI class of two, four or six hexadecimal digits, as in 12 or 0b40',
    ],
  ],
  [
    'RDMA and vDPA in one selector',
    pool('kind: vf\nselectors: [{isRdma: true, vdpaType: vhost}]'),
    ['4 pools[0].selectors[0].vdpaType: isRdma and vdpaType exclude each other (write two resources)'],
  ],
  [
    'VFs to keep back in a reversed range',
    'keepBack: ["eth0#3-1"]\n',
    ['1 keepBack[0]: the range 3-1 in "eth0#3-1" ends before it begins'],
  ],
  ['a list at the top', '- a\n', ['1 : a mapping is expected, not a list']],
  ['text at the top', 'hello\n', ['1 : a mapping is expected, not the text "hello"']],
];
for (const [name, text, expected] of broken) {
  test(`${name} is told with its line`, () => {
    const { config, problems } = parseConfig(text, 'f');
    assert.equal(config, undefined);
    const lines = problems.map(
      ({ path, line, message, hint }) => `${line} ${path}: ${message}${hint === undefined ? '' : ` (${hint})`}`,
    );
    assert.deepEqual(lines, expected);
  });
}

test('every problem of a file is told at once, in the order of lines', () => {
  const { problems } = parseConfig(
    'resourcePrefix: X\npools:\n- name: a\n  kind: vf\n  capacity: 3\n- name: a\n  kind: macvlan\n  capacity: -1\n  typo: 1\n',
    'f',
  );
  assert.deepEqual(
    problems.map(({ line, path }) => `${line} ${path}`),
    ['1 resourcePrefix', '5 pools[0].capacity', '6 pools[1].name', '8 pools[1].capacity', '9 pools[1].typo'],
  );
});

test('mistakes of one kind hide none of another: syntax of values, keys, types, and what belongs together', () => {
  const { problems } = parseConfig(
    `resourcePrefix: 5
kubelet: []
pools:
- name: a
  kind: 7
  selectors: all
- name: a
  kind: vf
  uplinks: [{names: [5]}]
  selectors: [{isRdma: yes, vendors: 8086, pfGroups: [x], typo: 1}]
  excludeTopology: true
  excludeTopology: false
- name: b
  kind: vf
  additionalInfo: {eth0: {a: b}}
  selectors: [null, {pfNames: ["eth0#2-1"], isRdma: true, vdpaType: vhost}]
`,
    'f',
  );
  assert.deepEqual(
    problems.map(({ line, path }) => `${line} ${path}`),
    [
      '1 resourcePrefix',
      '2 kubelet',
      '5 pools[0].kind',
      '6 pools[0].selectors',
      '7 pools[1].name',
      '9 pools[1].uplinks[0].names[0]',
      '9 pools[1].uplinks',
      '10 pools[1].selectors[0].vendors',
      '10 pools[1].selectors[0].isRdma',
      '10 pools[1].selectors[0].typo',
      '10 pools[1].selectors[0].pfGroups[0]',
      '12 pools[1].excludeTopology',
      '15 pools[2].additionalInfo.eth0',
      '16 pools[2].selectors[0]',
      '16 pools[2].selectors[1].pfNames[0]',
      '16 pools[2].selectors[1].vdpaType',
    ],
  );
});

for (const text of ['{"a": ', 'a: b: c', '"', '[', 'a: *b', '\u0000', '%', '!!binary x']) {
  test(`${JSON.stringify(text)} is a problem and no exception`, () => {
    assert.ok(parseConfig(text, 'f').problems.length > 0);
  });
}

test('an alias bomb is refused', () => {
  const levels = Array.from({ length: 9 }, (_, n) => `k${n + 1}: &k${n + 1} [${Array(9).fill(`*k${n}`).join(', ')}]`);
  const { problems } = parseConfig(`k0: &k0 [x]\n${levels.join('\n')}\n`, 'f');
  assert.match(problems[0]?.message ?? '', /alias/i);
});

test('a file of more than a mebibyte is refused', () => {
  const { problems } = parseConfig(`# ${'x'.repeat(1024 * 1024)}`, 'f');
  assert.match(problems[0]?.message ?? '', /at most 1048576 are read/);
});

test('of a file of 10 MB no more than that is read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
  try {
    const file = join(folder, 'config.yaml');
    writeFileSync(file, `pools: [] # ${'x'.repeat(10_000_000)}`);
    const { config, problems } = await readConfig(file, false);
    assert.equal(config, undefined);
    assert.deepEqual(
      problems.map(({ message }) => message),
      ['the file has 1048577 bytes or more; at most 1048576 are read'],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a key of the prototype is just an unknown key', () => {
  const { problems } = parseConfig('__proto__: {pools: []}\nconstructor: 1\n', 'f');
  assert.deepEqual(
    problems.map(({ path }) => path),
    ['__proto__', 'constructor'],
  );
});

test.run();
