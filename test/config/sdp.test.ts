import assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseConfig } from '../../src/config/index.ts';
import { describeProblem } from '../../src/engine/view.ts';

/** One resource on line 3, its keys from there on. */
function resource(keys: string): string {
  return `{"resourceList": [\n{"resourceName": "r",\n${keys}\n}]}\n`;
}

const broken: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'selectors that are null',
    resource('"selectors": null'),
    ['f:3: resourceList[0].selectors: required: a selector, or a list of selectors ({} selects every device)'],
  ],
  [
    'no selectors',
    '{"resourceList": [\n{"resourceName": "r"}]}',
    ['f:2: resourceList[0].selectors: required: a selector, or a list of selectors ({} selects every device)'],
  ],
  [
    'an empty list of selectors',
    resource('"selectors": []'),
    ['f:3: resourceList[0].selectors: the list is empty and selects nothing ({} selects every device)'],
  ],
  [
    'a selector in a list that is null',
    resource('"selectors": [{},\nnull]'),
    ['f:4: resourceList[0].selectors[1]: a mapping is expected, not nothing'],
  ],
  [
    'selectors that are a text',
    resource('"selectors": "all"'),
    ['f:3: resourceList[0].selectors: a mapping is expected, not the text "all"'],
  ],
  [
    'a value that is no list',
    resource('"selectors": {\n"vendors": "8086"}'),
    ['f:4: resourceList[0].selectors.vendors: a list is expected, not the text "8086"'],
  ],
  [
    'a vendor that is no PCI id',
    resource('"selectors": [{\n"vendors": ["0x8086"]}]'),
    ['f:4: resourceList[0].selectors[0].vendors[0]: "0x8086" is not a PCI id of four hexadecimal digits, as in 8086'],
  ],
  [
    'a range that is reversed',
    resource('"selectors": {"pfNames": [\n"eth0#7-2"]}'),
    ['f:4: resourceList[0].selectors.pfNames[0]: the range 7-2 in "eth0#7-2" ends before it begins'],
  ],
  [
    'a range that is none',
    resource('"selectors": {"pfNames": ["eth0#a"]}'),
    ['f:3: resourceList[0].selectors.pfNames[0]: "a" in "eth0#a" is neither a VF number nor a range of them'],
  ],
  [
    'an ACPI index that is no number',
    resource('"selectors": {"acpiIndexes": ["eno1"]}'),
    ['f:3: resourceList[0].selectors.acpiIndexes[0]: "eno1" is not an ACPI index, a number in quotes'],
  ],
  [
    'a link type that is none',
    resource('"selectors": {"linkTypes": ["Ethernet II"]}'),
    ['f:3: resourceList[0].selectors.linkTypes[0]: "Ethernet II" is not a link type, as in ether'],
  ],
  [
    'a DDP package that no device can name',
    resource('"selectors": {"ddpProfiles": ["a\\tb"]}'),
    ['f:3: resourceList[0].selectors.ddpProfiles[0]: "a\\tb" cannot be the name of a DDP package'],
  ],
  [
    'a partition key that is none',
    resource('"selectors": {"pKeys": ["0x8001", "8001", "0x10000"]}'),
    [
      'f:3: resourceList[0].selectors.pKeys[1]: "8001" is not a partition key of up to four hexadecimal digits, as in 0x8001',
      'f:3: resourceList[0].selectors.pKeys[2]: "0x10000" is not a partition key of up to four hexadecimal digits, as in 0x8001',
    ],
  ],
  [
    'a vDPA type that is none',
    resource('"selectors": {"vdpaType": "vhosts"}'),
    ['f:3: resourceList[0].selectors.vdpaType: "vhosts" is not one of vhost, virtio (did you mean vhost?)'],
  ],
  [
    'RDMA and vDPA in one selector',
    resource('"selectors": [{}, {"isRdma": true,\n"vdpaType": "vhost"}]'),
    ['f:4: resourceList[0].selectors[1].vdpaType: isRdma and vdpaType exclude each other (write two resources)'],
  ],
  [
    'auxiliary devices of no type',
    resource('"deviceType": "auxNetDevice", "selectors": [\n{"vendors": ["15b3"]}]'),
    ['f:4: resourceList[0].selectors[0]: required for deviceType auxNetDevice: auxTypes (it is ["sf"])'],
  ],
  [
    'auxiliary devices of another type',
    resource('"deviceType": "auxNetDevice", "selectors": {"auxTypes": ["sf", "eth"]}'),
    ['f:3: resourceList[0].selectors.auxTypes[1]: "eth" is not one of sf (known here: sf)'],
  ],
  [
    'a key that is there twice, with what else is wrong',
    resource('"selectors": {"vendors": ["8086"],\n"vendors": ["x"]}'),
    [
      'f:4: resourceList[0].selectors.vendors: the key "vendors" is there already, on line 3 (leave one of them out)',
      'f:4: resourceList[0].selectors.vendors[0]: "x" is not a PCI id of four hexadecimal digits, as in 8086',
    ],
  ],
  [
    'a type that does not exist',
    resource('"deviceType": "netdevice", "selectors": {}'),
    [
      'f:3: resourceList[0].deviceType: "netdevice" is not one of netDevice, accelerator, auxNetDevice (did you mean netDevice?)',
    ],
  ],
  [
    'a resource that is there twice',
    '{"resourceList": [\n{"resourceName": "r", "selectors": {}},\n{"resourceName": "r", "selectors": {}}]}',
    [
      'f:3: resourceList[1].resourceName: the resource intel.com/r is there already, on line 2 (write its selectors as a list in one resource)',
    ],
  ],
  [
    'a prefix that leaves a folder',
    resource('"resourcePrefix": "../../etc", "selectors": {}'),
    ['f:3: resourceList[0].resourcePrefix: "../../etc" is not a domain in lower case, as in berth.dev'],
  ],
  [
    'a key that is there in two spellings',
    resource('"selectors": {},\n"Selectors": {"vendors": ["8086"]}'),
    ['f:4: resourceList[0].Selectors: Selectors and selectors are the same key (leave one of them out)'],
  ],
  [
    'additional information that is no text',
    resource('"selectors": {}, "additionalInfo": {"*": {"a": 1}}'),
    ['f:3: resourceList[0].additionalInfo."*".a: a text is expected, not 1'],
  ],
  ['a list that is none', '{"resourceList": {}}', ['f:1: resourceList: a list is expected, not a mapping']],
  [
    'an entry that is no mapping',
    '{"resourceList": [\n"r"]}',
    ['f:2: resourceList[0]: a mapping is expected, not the text "r"'],
  ],
  [
    "Berth's own pools beside the list",
    '{"resourceList": [],\n"pools": []}',
    [
      "f:2: pools: pools is about pools, which Berth's own form of the file has instead of resourceList (write pools instead of resourceList to use it)",
    ],
  ],
  [
    "a mistake in Berth's own options beside the list",
    '{"resourceList": [],\n"cni": {"alocation": "warn"}}',
    ['f:2: cni.alocation: unknown key "alocation" (did you mean allocation?)'],
  ],
];
test("Berth's options that are not about pools may stand beside the list, which the plugin still reads", () => {
  const { config, problems } = parseConfig(
    '{"resourceList": [], "cni": {"allocation": "warn", "statusFailsOn": []}, "kubelet": {"registration": "legacy", "cdi": true}, "paths": {"kubeletDir": "/k"}}',
    'f',
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(config, {
    pools: [],
    registration: 'legacy',
    cdi: true,
    cni: { allocation: 'warn', statusFailsOn: [] },
    paths: { kubeletDir: '/k' },
  });
});

for (const [name, text, expected] of broken) {
  test(`${name} is told with its place, and refuses the file`, () => {
    const { config, problems } = parseConfig(text, 'f');
    assert.equal(config, undefined);
    assert.deepEqual(
      problems.map((problem) => describeProblem('f', problem)),
      expected,
    );
  });
}

const odd: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a list that is null',
    '{"resourceList": null}',
    ['f:1: warning: resourceList: it is null, which is an empty list: no resource is offered'],
  ],
  [
    'a misspelt selector',
    resource('"selectors": {\n"vendor": ["8086"]}'),
    ['f:4: warning: resourceList[0].selectors.vendor: unknown key "vendor", which is ignored (did you mean vendors?)'],
  ],
  [
    'an unknown key of a resource',
    resource('"selectors": {},\n"sriovMode": true'),
    [
      'f:4: warning: resourceList[0].sriovMode: unknown key "sriovMode", which is ignored (known here: resourceName, resourcePrefix, deviceType, excludeTopology, selectors, additionalInfo)',
    ],
  ],
  [
    'an unknown key at the top',
    '{"resourceList": [],\n"comment": "x"}',
    ['f:2: warning: comment: unknown key "comment", which is ignored (known here: resourceList)'],
  ],
  [
    'a key in another case',
    resource('"Selectors": {}'),
    ['f:3: warning: resourceList[0].Selectors: Selectors is read as selectors'],
  ],
  [
    'additional information for no address',
    resource('"selectors": {}, "additionalInfo": {"eth0": {"a": "b"}}'),
    [
      'f:3: warning: resourceList[0].additionalInfo.eth0: "eth0" is neither "*" nor a full PCI address, and applies to no device',
    ],
  ],
  [
    'a selector of another type',
    resource('"deviceType": "accelerator", "selectors": {\n"pfNames": ["eth0"]}'),
    [
      'f:4: warning: resourceList[0].selectors.pfNames: pfNames is ignored: the plugin does not know it for deviceType accelerator (it has vendors, devices, drivers, pciAddresses, acpiIndexes)',
    ],
  ],
  [
    'names that give one variable',
    '{"resourceList": [\n{"resourceName": "Nic", "selectors": {}},\n{"resourceName": "nic", "selectors": {}}]}',
    [
      'f:3: warning: resourceList[1].resourceName: intel.com/nic and intel.com/Nic (line 2) give containers the same environment variable; one that asks for both sees only one (give one of them another name)',
    ],
  ],
];
for (const [name, text, expected] of odd) {
  test(`${name} is a warning, and the file is used`, () => {
    const { config, problems } = parseConfig(text, 'f');
    assert.ok(config);
    assert.deepEqual(
      problems.map((problem) => describeProblem('f', problem)),
      expected,
    );
  });
}

test('a prefix of the options that is none refuses the file', () => {
  const { config, problems } = parseConfig('{"resourceList": []}', 'f', { resourcePrefix: 'Intel/x' });
  assert.equal(config, undefined);
  assert.match(problems[0]?.message ?? '', /^the resource prefix of the options: "Intel\/x" is not a domain/);
});

test("a prefix of the options comes before that of Berth's own file", () => {
  const text = 'resourcePrefix: a.example\npools: [{name: p, kind: vf}]';
  const { config } = parseConfig(text, 'f', { resourcePrefix: 'b.example' });
  assert.equal(config?.pools[0]?.resource, 'b.example/p');
});

test.run();
