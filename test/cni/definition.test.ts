import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { type PluginReview, reviewDefinition } from '../../src/cni/definition.ts';
import { CniFault } from '../../src/cni/errors.ts';
import { bench } from './calls.ts';

const HOST_LOCAL = { type: 'host-local', ranges: [[{ subnet: '10.60.0.0/24' }]] };
const WITH_RESOURCE = { name: 'net-a', bringsDevice: true };
const WITHOUT_RESOURCE = { name: 'net-a', bringsDevice: false };

/** `path: message` of each problem. */
function said(problems: PluginReview['errors']): readonly string[] {
  return problems.map(({ path, message }) => `${path}: ${message}`);
}

async function only(config: unknown, context = WITH_RESOURCE): Promise<PluginReview> {
  const reviews = await reviewDefinition(JSON.stringify(config), context);
  assert.equal(reviews.length, 1);
  return reviews[0] as PluginReview;
}

const FINE: readonly (readonly [string, Readonly<Record<string, unknown>>, boolean])[] = [
  ['a VF of a resource', { type: 'sriov', cniVersion: '0.3.1', vlan: 100, ipam: HOST_LOCAL, logLevel: 'debug' }, true],
  ['a VF by an IPAM plugin of somebody else', { type: 'sriov', cniVersion: '1.0.0', ipam: { type: 'x', y: 1 } }, true],
  ["Berth's own type with a resource", { type: 'berth', cniVersion: '1.0.0' }, true],
  ['a macvlan on a master', { type: 'macvlan', cniVersion: '0.3.1', master: 'eth7', mode: 'bridge' }, false],
  ['a macvlan on whatever slot', { type: 'macvlan', cniVersion: '0.3.1' }, true],
  ['a macvtap on whatever slot', { type: 'macvtap', cniVersion: '0.3.1' }, true],
  ['an ipvlan without a version, with addresses', { type: 'ipvlan', master: 'eth7', ipam: HOST_LOCAL }, false],
  ['a VLAN', { type: 'vlan', cniVersion: '0.3.1', master: 'eth7', vlanId: 5 }, false],
  ['a whole device of a resource', { type: 'host-device', cniVersion: '0.3.1' }, true],
  ['a whole device by name', { type: 'host-device', cniVersion: '0.3.1', device: 'eth9' }, false],
  ['InfiniBand that ib-kubernetes sets up', { type: 'ib-sriov', cniVersion: '0.3.1', ibKubernetesEnabled: true }, true],
  [
    'fields in any case, one by one and in a list',
    {
      cniVersion: '1.0.0',
      plugins: [{ type: 'sriov', spoofChk: 'off', Vlan: 5, VLANQOS: 3, vlanproto: null, trust: '', ipam: {} }],
    },
    true,
  ],
  [
    'a resolv.conf that only the node has',
    { type: 'macvlan', cniVersion: '0.3.1', ipam: { ...HOST_LOCAL, resolvConf: '/nonexistent/resolv.conf' } },
    false,
  ],
];

for (const [what, config, bringsDevice] of FINE) {
  test(`nothing is said of ${what}`, async () => {
    const { errors, isServed, warnings } = await only(config, { name: 'net-a', bringsDevice });
    assert.equal(isServed, true);
    assert.deepEqual(said(errors), []);
    assert.deepEqual(said(warnings), []);
  });
}

const WRONG: readonly (readonly [string, Readonly<Record<string, unknown>>, boolean, readonly RegExp[]])[] = [
  [
    'everything at once',
    { type: 'sriov', cniVersion: '1.0.0', min_tx_rate: 5, max_tx_rate: 1, spoofchk: 'yes', vlan: 5000 },
    true,
    [/^vlan: /, /^spoofchk: /, /^min_tx_rate: 5 is above max_tx_rate 1/],
  ],
  ['a VF without a resource', { type: 'sriov', cniVersion: '1.0.0' }, false, [/^: no pod brings a device/]],
  ['a mode that does not exist', { type: 'macvlan', cniVersion: '1.0.0', mode: 'brdige' }, false, [/^mode: "brdige"/]],
  ['no link and no device', { type: 'host-device', cniVersion: '1.0.0' }, false, [/^device: no device is named/]],
  ['a version without links', { type: 'macvlan', master: 'eth7' }, false, [/^: cniVersion 0\.1\.0 cannot describe/]],
  ['a name that is none', { type: 'macvlan', cniVersion: '1.0.0', name: '../x' }, false, [/^: name is "\.\.\/x"/]],
  ['no kind of link', { type: 'berth', cniVersion: '1.0.0' }, false, [/^: type is berth, and neither "link"/]],
  ['a chain of nothing', { cniVersion: '1.0.0', plugins: [] }, false, [/^plugins: it is empty/]],
  ['no type', { cniVersion: '1.0.0' }, false, [/^type: it is missing/]],
];

for (const [what, config, bringsDevice, patterns] of WRONG) {
  test(`what every ADD would refuse is told: ${what}`, async () => {
    const errors = said((await only(config, { name: 'net-a', bringsDevice })).errors);
    assert.equal(errors.length, patterns.length, errors.join('\n'));
    for (const pattern of patterns)
      assert.ok(
        errors.some((error) => pattern.test(error)),
        `${pattern}\n${errors}`,
      );
  });
}

/** What Multus would put into the call for a pod that got a device of the resource. */
function deviceFor({ type }: Readonly<Record<string, unknown>>): string {
  return ['macvlan', 'ipvlan', 'macvtap', 'vlan'].includes(String(type)) ? 'eth7-0' : '0000:41:10.1';
}

/** As the runtime sends it, with the name that Multus adds. */
async function added(config: Readonly<Record<string, unknown>>, bringsDevice: boolean): Promise<number> {
  const written = { cniVersion: undefined, ...config, ...(bringsDevice ? { deviceID: deviceFor(config) } : {}) };
  return (await bench().send({ config: JSON.stringify({ name: 'net-a', ...written }) })).exitCode;
}

for (const [what, config, bringsDevice] of FINE) {
  // These two need ib-kubernetes, or the node's file.
  if (config.ibKubernetesEnabled === true || JSON.stringify(config).includes('resolvConf')) continue;
  test(`an ADD agrees, and takes ${what}`, async () => {
    assert.equal(await added(config, bringsDevice), 0);
  });
}

for (const [what, config, bringsDevice] of WRONG) {
  test(`an ADD agrees, and refuses: ${what}`, async () => {
    assert.equal(await added(config, bringsDevice), 1);
  });
}

test('a field that Berth does not read is worth a word, with the one that may be meant', async () => {
  const fields = { maxTxRate: 5, spoofcheck: 'on', vlan_trunk: '301-302', VLAN: 5 };
  const { errors, warnings } = await only({ type: 'sriov', cniVersion: '1.0.0', ...fields });
  assert.deepEqual(errors, []);
  assert.deepEqual(said(warnings), [
    'maxTxRate: Berth does not read it; did you mean max_tx_rate?',
    'spoofcheck: Berth does not read it; did you mean spoofchk?',
    'vlan_trunk: Berth does not read it',
  ]);
});

test('a capability that the link cannot honour is worth a word, and one that it can is not', async () => {
  const capabilities = { portMappings: true, ips: true, bandwidth: true, aliases: false };
  const ofMacvlan = await only({ type: 'macvlan', cniVersion: '1.0.0', capabilities });
  assert.deepEqual(
    ofMacvlan.warnings.map(({ path }) => path),
    ['capabilities.portMappings', 'capabilities.bandwidth'],
  );
  const ofVf = await only({ type: 'sriov', cniVersion: '1.0.0', capabilities });
  assert.deepEqual(
    ofVf.warnings.map(({ path }) => path),
    ['capabilities.portMappings'],
  );
});

test('a VF that the definition names is worth a word', async () => {
  const { errors, warnings } = await only(
    { type: 'sriov', cniVersion: '1.0.0', deviceID: '0000:41:10.0' },
    WITHOUT_RESOURCE,
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(
    warnings.map(({ path }) => path),
    ['deviceID'],
  );
});

test('each plugin of a chain is judged with the name and the version of the list; of others nothing is said', async () => {
  const reviews = await reviewDefinition(
    JSON.stringify({
      cniVersion: '1.0.0',
      plugins: [{ type: 'macvlan', master: 'eth7' }, { type: 'tuning', mode: 'brdige' }, { type: 'vlan' }, 7],
    }),
    WITHOUT_RESOURCE,
  );
  assert.deepEqual(
    reviews.map(({ errors, isServed, type }) => [type, isServed, errors.map(({ path }) => path)]),
    [
      ['macvlan', true, []],
      ['tuning', false, []],
      ['vlan', true, ['vlanId']],
      ['', false, ['type']],
    ],
  );
});

for (const [what, text, reason] of [
  ['no JSON', '{"type": "macvlan", }', 'config-not-json'],
  ['no object', '[]', 'config-not-json'],
  ['of a version that nobody serves', '{"type": "macvlan", "cniVersion": "2.0.0"}', 'unsupported-cni-version'],
] as const) {
  test(`a definition that is ${what} is refused as ADD refuses it`, async () => {
    await assert.rejects(
      () => reviewDefinition(text, WITH_RESOURCE),
      (error: unknown) => error instanceof CniFault && error.reason === reason,
    );
  });
}

test.run();
