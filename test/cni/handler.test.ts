import * as assert from 'node:assert/strict';
import { closeSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import { CniFault } from '../../src/cni/errors.ts';
import { CNI_VERSIONS, traitsOf } from '../../src/cni/versions.ts';
import { BerthError, type ErrorCode } from '../../src/engine/errors.ts';
import { bench, type CallParts, fakeNamespace, MACVLAN, sandboxDescriptor, VF } from './calls.ts';

const HOST_LOCAL = {
  type: 'host-local',
  ranges: [[{ subnet: '10.60.0.0/24' }]],
  routes: [{ dst: '10.61.0.0/16', gw: '10.60.0.1', mtu: 1400 }],
};

const STATIC = { type: 'static', addresses: [{ address: '10.1.9.2/24' }] };

test('ADD hands the engine a link, a sandbox, the pod and its network', async () => {
  const { send, engine, namespace } = bench();
  const { exitCode } = await send({ config: { ...VF, vlan: 100, spoofchk: 'off', ipam: HOST_LOCAL } });
  assert.equal(exitCode, 0);
  const request = engine.attached[0];
  assert.ok(request);
  assert.deepEqual(request.key, { containerId: 'c0ffee', ifname: 'net1' });
  assert.equal(request.network, 'net-a');
  assert.equal(request.sandboxPath, '/var/run/netns/cni-1');
  assert.deepEqual(request.link, { kind: 'vf', device: '0000:41:10.1', vlan: 100, spoofCheck: false });
  assert.deepEqual(request.pod, { namespace: 'default', name: 'p4', uid: 'u-4' });
  assert.equal(request.ipam?.type, 'host-local');
  assert.equal(namespace.closed, 1);
});

for (const version of CNI_VERSIONS) {
  test(`the result of ADD is that of ${version}`, async () => {
    const { send } = bench();
    const { exitCode, answer } = await send({ config: { ...VF, cniVersion: version, ipam: HOST_LOCAL } });
    assert.equal(exitCode, 0);
    const iface = { name: 'net1', mac: '02:5e:00:00:00:01', sandbox: '/var/run/netns/cni-1' };
    const expected = {
      'ip4-ip6': {
        cniVersion: version,
        ip4: { ip: '10.60.0.6/24', gateway: '10.60.0.1', routes: [{ dst: '10.61.0.0/16', gw: '10.60.0.1' }] },
      },
      'ips-versioned': {
        cniVersion: version,
        interfaces: [iface],
        ips: [{ version: '4', address: '10.60.0.6/24', gateway: '10.60.0.1', interface: 0 }],
        routes: [{ dst: '10.61.0.0/16', gw: '10.60.0.1' }],
      },
      current: {
        cniVersion: version,
        interfaces: [{ ...iface, mtu: 1500, pciID: '0000:41:10.1' }],
        ips: [{ address: '10.60.0.6/24', gateway: '10.60.0.1', interface: 0 }],
        routes: [{ dst: '10.61.0.0/16', gw: '10.60.0.1', mtu: 1400 }],
      },
    }[traitsOf(version).result];
    assert.deepEqual(answer, expected);
  });

  test(`${version} has the commands that its specification has`, async () => {
    const { send } = bench();
    const traits = traitsOf(version);
    for (const [command, has] of [
      ['CHECK', traits.check],
      ['STATUS', traits.statusAndGc],
      ['GC', traits.statusAndGc],
    ] as const) {
      const prevResult = { cniVersion: version, interfaces: [{ name: 'net1', sandbox: '/s' }] };
      const { exitCode, answer } = await send({ command, config: { ...MACVLAN, cniVersion: version, prevResult } });
      assert.equal(exitCode, has ? 0 : 1, command);
      assert.equal(answer.code, has ? undefined : 1, command);
    }
  });
}

test('a link without addresses cannot be told in 0.2.0 and is refused before anything is done', async () => {
  const { send, engine } = bench();
  assert.equal((await send({ config: { ...VF, cniVersion: '0.2.0' } })).answer.code, 1);
  assert.equal(engine.attached.length, 0);
});

for (const [what, ipam] of [
  ['two ranges', { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: '10.1.3.0/24' }]] }],
  ['two IPv6 addresses', { type: 'static', addresses: [{ address: 'fd00::2/64' }, { address: 'fd00::3/64' }] }],
] as const) {
  test(`${what}, of which 0.2.0 could tell one only, are refused before anything is done`, async () => {
    const { send, engine } = bench();
    const refused = await send({ config: { ...MACVLAN, cniVersion: '0.2.0', ipam } });
    assert.equal(refused.answer.code, 1);
    assert.match(String(refused.answer.msg), /one address of each family.* 2 of IPv/);
    assert.equal(engine.attached.length, 0);
    assert.equal((await send({ config: { ...MACVLAN, cniVersion: '0.3.0', ipam } })).exitCode, 0);
  });
}

test('one address of each family can be told in 0.2.0', async () => {
  const ranges = [[{ subnet: '10.1.2.0/24' }, { subnet: '10.1.3.0/24' }], [{ subnet: 'fd00::/64' }]];
  const { send } = bench();
  const config = { ...MACVLAN, cniVersion: '0.2.0', ipam: { type: 'host-local', ranges } };
  assert.equal((await send({ config })).exitCode, 0);
});

for (const [cniVersion, fields] of [
  ['1.0.0', ['name', 'mac', 'sandbox']],
  ['1.1.0', ['name', 'mac', 'mtu', 'sandbox']],
] as const) {
  test(`the result of a host-device in ${cniVersion} has the fields that this version has`, async () => {
    const { send } = bench();
    const { answer } = await send({ config: { type: 'host-device', device: 'eth1', cniVersion } });
    assert.deepEqual((answer.interfaces as readonly object[]).map(Object.keys), [fields]);
  });
}

const HANDED_ON = {
  interfaces: [{ name: 'eth1' }],
  ips: [{ address: '10.1.2.2/24', gateway: '10.1.2.1', interface: 0 }, { address: 'fd00::2/64' }],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: { nameservers: ['10.1.2.53'] },
};

test('an ipvlan without ipam has the addresses that the plugins before it gave, and is the whole result', async () => {
  const { send, engine } = bench();
  const { answer } = await send({ config: { type: 'ipvlan', prevResult: HANDED_ON } });
  assert.deepEqual(engine.attached[0]?.ipam, {
    type: 'static',
    addresses: [{ address: '10.1.2.2/24', gateway: '10.1.2.1' }, { address: 'fd00::2/64' }],
    routes: [{ dst: '0.0.0.0/0' }],
    dns: { nameservers: ['10.1.2.53'] },
  });
  assert.deepEqual(
    (answer.interfaces as readonly { name: string }[]).map(({ name }) => name),
    ['net1'],
  );
});

for (const [what, config, interfaces] of [
  ['an ipvlan with addresses of its own', { type: 'ipvlan', ipam: STATIC }, ['eth1', 'net1']],
  ['an ipvlan behind plugins that gave none', { type: 'ipvlan', ips: [] }, ['eth1', 'net1']],
  ['another link', MACVLAN, ['eth1', 'net1']],
] as const) {
  test(`${what} inherits nothing and adds itself to the result`, async () => {
    const { send, engine } = bench();
    const { ips, ...rest } = { ips: HANDED_ON.ips, ...config };
    const { answer } = await send({ config: { ...rest, prevResult: { ...HANDED_ON, ips } } });
    assert.deepEqual(engine.attached[0]?.ipam, 'ipam' in config ? { ...STATIC, routes: [], dns: {} } : undefined);
    assert.deepEqual(
      (answer.interfaces as readonly { name: string }[]).map(({ name }) => name),
      interfaces,
    );
  });
}

test('inherited addresses that are none are refused before anything is done', async () => {
  const { send, engine } = bench();
  const ips = [{ address: '10.1.2.300/24' }];
  const { answer } = await send({ config: { type: 'ipvlan', prevResult: { ...HANDED_ON, ips } } });
  assert.equal(answer.code, 7);
  assert.match(String(answer.msg), /prevResult\.ips\.0: "10\.1\.2\.300\/24"/);
  assert.equal(engine.attached.length, 0);
});

test('VERSION lists what is served, also for podman, which names nothing real', async () => {
  const { send } = bench();
  const env = { CNI_IFNAME: 'dummy', CNI_NETNS: 'dummy', CNI_PATH: 'dummy', CNI_CONTAINERID: '', CNI_ARGS: '' };
  const { answer } = await send({ command: 'VERSION', env, config: '{"cniVersion":"0.4.0"}' });
  assert.deepEqual(answer, { cniVersion: '0.4.0', supportedVersions: [...CNI_VERSIONS] });
});

/** What is wrong, and the code and the reason of its error. */
const REFUSED: readonly (readonly [string, CallParts, number, string])[] = [
  ['no command', { env: { CNI_COMMAND: '' } }, 4, 'unknown-command'],
  ['a command of the future', { command: 'MOVE' }, 4, 'unknown-command'],
  ['no container id', { env: { CNI_CONTAINERID: '' } }, 4, 'invalid-container-id'],
  ['a container id with a slash', { env: { CNI_CONTAINERID: '../x' } }, 4, 'invalid-container-id'],
  ['an interface name with a slash', { env: { CNI_IFNAME: 'a/b' } }, 4, 'invalid-interface-name'],
  ['an interface name of 16 bytes', { env: { CNI_IFNAME: 'sixteen-bytes-xx' } }, 4, 'invalid-interface-name'],
  ['the interface name ..', { env: { CNI_IFNAME: '..' } }, 4, 'invalid-interface-name'],
  ['no sandbox', { env: { CNI_NETNS: '' }, config: MACVLAN }, 4, 'sandbox-not-named'],
  ['a sandbox that is gone', { netnsErrno: 2, config: MACVLAN }, 3, 'sandbox-missing'],
  ['a sandbox that cannot be opened', { netnsErrno: 13, config: MACVLAN }, 4, 'sandbox-unreadable'],
  ['truncated JSON', { config: '{"cniVersion":"1.0.0","name":"net-a"' }, 6, 'config-not-json'],
  ['an empty configuration', { config: '' }, 6, 'config-not-json'],
  [
    'more levels than anything can walk through',
    { config: `${'{"a":'.repeat(1001)}1${'}'.repeat(1001)}` },
    6,
    'config-not-json',
  ],
  [
    'a previous result that no answer has room for',
    { config: { ...MACVLAN, prevResult: { interfaces: Array(50_000).fill({ name: 'a'.repeat(40) }) } } },
    7,
    'invalid-network-config',
  ],
  ['a JSON list', { config: '[]' }, 6, 'config-not-json'],
  ['an unknown version', { config: { cniVersion: '1.2.0' } }, 1, 'unsupported-cni-version'],
  ['a version that is no text', { config: { cniVersion: 1 } }, 1, 'unsupported-cni-version'],
  ['no network name', { config: '{"cniVersion":"1.0.0","type":"macvlan"}' }, 7, 'invalid-network-name'],
  ['a network name with a slash', { config: { name: '../../x', type: 'macvlan' } }, 7, 'invalid-network-name'],
  ['an unknown type', { config: { type: 'bridge' } }, 7, 'unknown-link-kind'],
  ['an unknown link', { config: { type: 'berth', link: 'wifi' } }, 7, 'unknown-link-kind'],
  ['no kind of link', { config: { type: 'berth' } }, 7, 'link-kind-missing'],
  ['no device for a VF', { config: { type: 'sriov' } }, 7, 'device-missing'],
  ['an IPAM that is a path', { config: { ...MACVLAN, ipam: { type: '../dhcp' } } }, 7, 'invalid-network-config'],
  [
    'a port mapping',
    { config: { ...MACVLAN, runtimeConfig: { portMappings: [{ hostPort: 1 }] } } },
    2,
    'unsupported-field',
  ],
  ['a MAC for ipvlan', { config: { type: 'ipvlan', mac: '02:00:00:00:00:01' } }, 2, 'unsupported-field'],
  [
    'a master that contradicts the slot',
    { config: { type: 'macvlan', master: 'eth1', deviceID: 'eth0-3' } },
    7,
    'invalid-network-config',
  ],
  ['unknown arguments', { env: { CNI_ARGS: 'FOO=bar' }, config: MACVLAN }, 4, 'unknown-cni-args'],
  ['CHECK without a previous result', { command: 'CHECK', config: MACVLAN }, 7, 'previous-result-missing'],
];

for (const [what, parts, code, reason] of REFUSED) {
  test(`${what} is error ${code} and changes nothing`, async () => {
    const { send, engine } = bench();
    const { exitCode, answer } = await send(parts);
    assert.equal(exitCode, 1);
    assert.equal(answer.code, code, JSON.stringify(answer));
    assert.match(String(answer.details), new RegExp(`reason ${reason},`));
    assert.deepEqual(Object.keys(answer), ['cniVersion', 'code', 'msg', 'details']);
    assert.equal(engine.attached.length + engine.checked.length, 0);
  });
}

test('the error for a missing device names the pod, the network and the likely cause', async () => {
  const { answer } = await bench().send({ config: { type: 'sriov' } });
  assert.match(String(answer.msg), /pod default\/p4 was given no device for network net-a/);
  assert.match(String(answer.details), /does not request the resource/);
});

test('the error for a missing device says what the pod has instead, when kubelet tells', async () => {
  const asked: unknown[] = [];
  const explainMissingDevice = async (pod: unknown): Promise<string> => {
    asked.push(pod);
    return 'kubelet gave the pod no device';
  };
  const { answer } = await bench({ explainMissingDevice }).send({ config: { type: 'sriov' } });
  assert.match(String(answer.msg), /no deviceID; kubelet gave the pod no device$/);
  assert.deepEqual(asked, [{ namespace: 'default', name: 'p4', uid: 'u-4' }]);
  const without = await bench({ explainMissingDevice }).send({ config: { type: 'sriov' }, env: { CNI_ARGS: '' } });
  assert.match(String(without.answer.msg), /^the container was given no device for network net-a: .*no deviceID$/);
});

const WRONG_TOGETHER: readonly (readonly [string, CallParts, number, readonly RegExp[], readonly RegExp[]])[] = [
  [
    'types and contradictions',
    {
      config: {
        ...VF,
        vlan: 5000,
        trust: 'maybe',
        mtu: '9000',
        mac: '01:00:5e:00:00:01',
        min_tx_rate: 5,
        max_tx_rate: 2,
        ipam: { type: 'host-local', ranges: [[{}]], routes: [{ dst: 'here' }] },
      },
    },
    7,
    [
      /vlan: .*5000/,
      /trust: /,
      /mtu: /,
      /ipam\.ranges\.0\.0\.subnet: /,
      /mac: .*group/,
      /min_tx_rate: /,
      /routes\.0\.dst: /,
    ],
    // The ranges were left out because of their type; that there are none is no news.
    [/has no range/],
  ],
  [
    'a wrong type and what cannot be honoured',
    { config: { ...MACVLAN, mtu: 'big', linkInContainer: true, runtimeConfig: { portMappings: [{ hostPort: 80 }] } } },
    7,
    [/mtu: /, /portMappings/],
    [],
  ],
  [
    'a device of the wrong type, which is then not called missing',
    { config: { type: 'sriov', deviceID: 7, vlan: 9999 } },
    7,
    [/deviceID: /, /vlan: /],
    [/was given no device/],
  ],
  [
    'a missing device beside other mistakes',
    { config: { type: 'sriov', vlan: 9999 } },
    7,
    [/vlan: /, /was given no device/],
    [],
  ],
];

for (const [what, parts, code, says, silent] of WRONG_TOGETHER) {
  test(`everything that is wrong is told at once: ${what}`, async () => {
    const { answer } = await bench().send(parts);
    assert.equal(answer.code, code);
    for (const text of says) assert.match(String(answer.msg), text);
    for (const text of silent) assert.doesNotMatch(String(answer.msg), text);
  });
}

test("a file that is no namespace, and the node's own namespace, are refused", async () => {
  const foreign = bench({
    adoptSandbox: async (fd) => {
      closeSync(fd);
      throw new BerthError({ code: 'Invalid', reason: 'not-a-namespace', message: 'no' });
    },
  });
  assert.match(String((await foreign.send({ config: MACVLAN })).answer.details), /sandbox-not-a-namespace/);
  const host = bench({}, fakeNamespace(true));
  const { answer } = await host.send({ config: MACVLAN });
  assert.equal(answer.code, 4);
  assert.match(String(answer.details), /sandbox-is-host/);
  assert.equal(host.namespace.closed, 1);
  assert.equal(foreign.engine.attached.length + host.engine.attached.length, 0);
});

test('DEL looks at the container and the interface alone', async () => {
  const { send, engine } = bench();
  for (const parts of [
    { config: { ...VF, vlan: 5000, type: 'nonsense', name: '' } },
    { env: { CNI_NETNS: '' }, config: VF },
    { netnsErrno: 2, config: VF },
    { env: { CNI_ARGS: 'broken' }, config: VF },
  ]) {
    assert.deepEqual(await send({ command: 'DEL', ...parts }), { exitCode: 0, answer: {} });
  }
  assert.deepEqual(
    engine.detached.map(({ key, sandbox }) => [key.containerId, key.ifname, sandbox !== undefined]),
    [true, false, false, true].map((opened) => ['c0ffee', 'net1', opened]),
  );
});

test("DEL never takes the node's own namespace for the sandbox", async () => {
  const { send, engine } = bench({}, fakeNamespace(true));
  assert.equal((await send({ command: 'DEL', config: MACVLAN })).exitCode, 0);
  assert.equal(engine.detached[0]?.sandbox, undefined);
});

test('every descriptor is closed, used or not', async () => {
  const { handle, namespace } = bench();
  const { call } = await import('./calls.ts');
  for (const parts of [{ command: 'VERSION' }, { config: '{' }, { command: 'STATUS' }, { config: { type: 'sriov' } }]) {
    const sandboxFd = sandboxDescriptor();
    const { sent } = await handle(call({ ...parts, sandboxFd }), new AbortController().signal);
    sent?.();
    assert.throws(() => readFileSync(sandboxFd), /EBADF/);
  }
  assert.equal(namespace.closed, 0);
});

const CODES: readonly (readonly [ErrorCode, number])[] = [
  ['NotFound', 101],
  ['Busy', 11],
  ['Invalid', 7],
  ['Unsupported', 102],
  ['Denied', 103],
  ['Exhausted', 11],
  ['Io', 5],
  ['Interrupted', 11],
  ['Internal', 100],
];

for (const [code, cniCode] of CODES) {
  test(`the engine's ${code} is code ${cniCode}, with remedy, reason and request`, async () => {
    const { send, engine, observations } = bench();
    engine.during = () => {
      throw new BerthError({ code, reason: 'some-reason', message: 'it failed', remedy: 'Do this.', errno: 'EBUSY' });
    };
    const { answer } = await send({ config: MACVLAN });
    const observed = observations[0];
    assert.ok(observed);
    assert.deepEqual(answer, {
      cniVersion: '1.0.0',
      code: cniCode,
      msg: 'it failed (EBUSY)',
      details: `Do this. [reason some-reason, docs/troubleshooting.md#some-reason, request ${observed.requestId}]`,
    });
    assert.equal(observed.code, cniCode);
    assert.equal(observed.kind, 'macvlan');
  });
}

const EXACT: readonly (readonly [string, ErrorCode, number])[] = [
  ['interface-name-taken', 'Invalid', 4],
  ['attachment-exists', 'Invalid', 4],
  ['address-already-reserved', 'Invalid', 4],
  ['attachment-unknown', 'NotFound', 3],
  ['attachment-unfinished', 'Busy', 11],
  ['ipam-version-refused', 'Unsupported', 1],
  ['attachment-changed', 'Io', 104],
];

for (const [reason, code, cniCode] of EXACT) {
  test(`${reason} is code ${cniCode}, which the specification means for it`, async () => {
    const { send, engine } = bench();
    engine.during = () => {
      throw new BerthError({ code, reason, message: 'it failed' });
    };
    assert.equal((await send({ config: MACVLAN })).answer.code, cniCode);
  });
}

test('what is no error of ours is code 100', async () => {
  const { send, engine } = bench();
  engine.during = () => {
    throw new TypeError('x is not a function');
  };
  assert.equal((await send({ config: MACVLAN })).answer.code, 100);
});

test('the deadline and the runtime going away reach the engine as an abort with its reason', async () => {
  const late = bench({ timeoutMs: { ADD: 5 } });
  late.engine.during = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const { answer } = await late.send({ config: MACVLAN });
  assert.equal(answer.code, 11);
  assert.match(String(answer.details), /deadline-exceeded/);

  const gone = new AbortController();
  const away = bench();
  away.engine.during = ({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
      gone.abort(new BerthError({ code: 'Interrupted', reason: 'runtime-went-away', message: 'gone' }));
    });
  assert.match(String((await away.send({ config: MACVLAN }, gone.signal)).answer.details), /runtime-went-away/);
});

test("a runtime's trace is the request id", async () => {
  const { send, observations } = bench();
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  await send({ config: MACVLAN, env: { TRACEPARENT: traceparent } });
  await send({ config: MACVLAN, env: { TRACEPARENT: 'nonsense' } });
  assert.equal(observations[0]?.requestId, '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7');
  assert.match(observations[1]?.requestId ?? '', /^[0-9a-f]{16}$/);
});

const STATUS = { command: 'STATUS', env: { CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_NETNS: '' } };

test('STATUS reports what is not ready as code 50, unless it is told another', async () => {
  const status = (thrown: unknown) => async (): Promise<unknown> => {
    const { send } = bench({
      ready: () => {
        throw thrown;
      },
    });
    return (await send({ ...STATUS, config: { ...MACVLAN, cniVersion: '1.1.0' } })).answer.code;
  };
  assert.equal(await status(new Error('not yet'))(), 50);
  assert.equal(await status(new BerthError({ code: 'NotFound', reason: 'uplink-missing', message: 'no' }))(), 50);
  assert.equal(await status(new CniFault(51, { reason: 'limited', message: 'limited' }))(), 51);
});

const ASKED: readonly (readonly [string, Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>])[] = [
  ['a VF, whose device the pods bring', { type: 'sriov', vlan: 5 }, { kind: 'vf', concerns: ['uplink'] }],
  ['berth without link, which is a VF', { type: 'berth' }, { kind: 'vf', concerns: ['uplink'] }],
  [
    'a macvlan with its uplink',
    MACVLAN,
    { kind: 'macvlan', link: { kind: 'macvlan', uplink: 'eth1', mode: 'bridge' }, concerns: ['uplink'] },
  ],
  [
    "the network's own concerns",
    { ...MACVLAN, statusFailsOn: ['addresses'] },
    { kind: 'macvlan', link: { kind: 'macvlan', uplink: 'eth1', mode: 'bridge' }, concerns: ['addresses'] },
  ],
  ['no concern at all', { type: 'sriov', statusFailsOn: [] }, { kind: 'vf', concerns: [] }],
];

for (const [what, config, question] of ASKED) {
  test(`STATUS asks about ${what}`, async () => {
    const questions: unknown[] = [];
    const { send } = bench({
      statusFailsOn: () => ['uplink'],
      ready: async (asked) => {
        questions.push(asked);
      },
    });
    assert.equal((await send({ ...STATUS, config: { ...config, cniVersion: '1.1.0' } })).exitCode, 0);
    assert.deepEqual(questions, [{ network: 'net-a', ...question }]);
  });
}

test('STATUS of a definition with which nothing can be added says what is wrong with it', async () => {
  const { answer } = await bench().send({ ...STATUS, config: { ...MACVLAN, cniVersion: '1.1.0', mode: 'loud' } });
  assert.equal(answer.code, 7);
});

const GC = { command: 'GC', env: { CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_NETNS: '' } };

test('GC hands the list of the runtime on, as it is', async () => {
  const { send, engine } = bench();
  const valid = [{ containerID: 'c0ffee', ifname: 'net1' }];
  const config = { ...MACVLAN, cniVersion: '1.1.0', 'cni.dev/valid-attachments': valid };
  assert.equal((await send({ ...GC, config })).exitCode, 0);
  assert.deepEqual(engine.kept, [{ network: 'net-a', valid: [{ containerId: 'c0ffee', ifname: 'net1' }] }]);
});

test('GC without a list, or with one that cannot be read whole, removes nothing', async () => {
  for (const [list, code] of [
    [undefined, undefined],
    ['all', 7],
    [[{ containerID: 'c0ffee' }], 7],
    [[{ containerID: 'c0ffee', ifname: 'net1' }, null], 7],
    [[{ containerID: '../x', ifname: 'net1' }], 7],
  ] as const) {
    const { send, engine } = bench();
    const config = {
      ...MACVLAN,
      cniVersion: '1.1.0',
      ...(list === undefined ? {} : { 'cni.dev/valid-attachments': list }),
    };
    assert.equal((await send({ ...GC, config })).answer.code, code, JSON.stringify(list));
    assert.deepEqual(engine.kept, []);
  }
});

const HOST_DEVICE = { type: 'host-device', device: 'eth1' };
const MTU_EXPECTED: readonly (readonly [string, object, string, number | undefined, number | undefined])[] = [
  ['the result says it', MACVLAN, '1.0.0', 1300, 1300],
  ['a later plugin dropped it from the result', MACVLAN, '1.0.0', undefined, undefined],
  ['results of the version have none', MACVLAN, '0.4.0', undefined, 1400],
  ['results of a host-device in 1.0.0 have none', HOST_DEVICE, '1.0.0', undefined, 1400],
  ['a later plugin dropped that of a host-device', HOST_DEVICE, '1.1.0', undefined, undefined],
];

for (const [what, link, cniVersion, inResult, expected] of MTU_EXPECTED) {
  test(`the MTU that CHECK expects, when ${what}`, async () => {
    const { send, engine } = bench();
    const entry = { name: 'net1', sandbox: '/s', ...(inResult === undefined ? {} : { mtu: inResult }) };
    const config = { ...link, cniVersion, mtu: 1400, prevResult: { cniVersion, interfaces: [entry] } };
    assert.equal((await send({ command: 'CHECK', config })).exitCode, 0);
    assert.equal(engine.checked[0]?.expected.mtu, expected);
  });
}

test('CHECK expects of its own interface alone, whatever others added to the result', async () => {
  const { send, engine } = bench();
  const prevResult = {
    cniVersion: '1.0.0',
    interfaces: [
      { name: 'br0' },
      { name: 'net1', mac: '02:5e:00:00:00:01', sandbox: '/var/run/netns/cni-1' },
      { name: 'eth0', sandbox: '/var/run/netns/cni-1' },
    ],
    ips: [
      { address: '10.60.0.6/24', interface: 1 },
      { address: '10.97.0.2/24', interface: 2 },
      { address: 'fd00::6/64' },
    ],
    routes: [{ dst: '0.0.0.0/0', gw: '10.60.0.1' }],
  };
  assert.equal((await send({ command: 'CHECK', config: { ...MACVLAN, prevResult } })).exitCode, 0);
  assert.deepEqual(engine.checked[0]?.expected, {
    mac: '02:5e:00:00:00:01',
    addresses: [{ address: '10.60.0.6/24' }, { address: 'fd00::6/64' }],
    routes: [{ dst: '0.0.0.0/0', gateway: '10.60.0.1' }],
  });
});

test.run();
