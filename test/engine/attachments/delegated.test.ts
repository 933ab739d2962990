/** Attachments whose addresses an IPAM program gives: what it is asked, when, and what its failures leave. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BerthError, toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, ipvlan, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { MemoryIpam, pool } from '../../standins/memory-ipam.ts';

const test = suite('addresses of an IPAM program');

const failing = { end: { kind: 'exited', status: 1 }, stdout: '{"code":100,"msg":"the server is away"}' } as const;

async function failureOf(work: Promise<unknown>): Promise<BerthError> {
  return toBerthError(await work.then(() => new Error('it did not fail')).catch((error: unknown) => error));
}

function addressesIn(node: PodNode, container: string): readonly string[] {
  const sandbox = node.openSandbox(container);
  const links = [...sandbox.state.links.values()];
  sandbox.close();
  return links.flatMap((link) => link.addresses.map((entry) => entry.address));
}

test('the link gets the addresses and routes that the program gives, and they are announced', async () => {
  const node = createPodNode();
  const result = await node.attach('c1', macvlan(), { ipam: pool() });
  assert.equal(result.addresses, [{ address: '10.5.0.2/24', gateway: '10.5.0.1' }]);
  assert.equal(addressesIn(node, 'c1'), ['10.5.0.2/24']);
  const sandbox = node.openSandbox('c1');
  assert.equal(sandbox.state.announced, [`${result.mac} 10.5.0.2/24`]);
  sandbox.close();
  await node.detach('c1');
  assert.equal(node.ipam.calls, ['ADD c1/net1', 'DEL c1/net1']);
  assert.equal(node.owned.notes.size, 0);
});

test("the runtime's own place is used while the runtime waits, for a failed ADD's DEL too", async () => {
  const node = createPodNode();
  const runtime = new MemoryIpam();
  await node.attach('c1', macvlan(), { ipam: pool(), ipamPrograms: runtime });
  await node.detach('c1', { ipamPrograms: runtime });
  runtime.trouble = ({ command }) => (command === 'ADD' ? failing : undefined);
  const error = await failureOf(node.attach('c2', macvlan(), { ipam: pool(), ipamPrograms: runtime }));
  assert.is(error.reason, 'ipam-program-failed');
  assert.match(error.message, 'the server is away');
  assert.equal(runtime.calls, ['ADD c1/net1', 'DEL c1/net1', 'ADD c2/net1', 'DEL c2/net1']);
  assert.equal(node.ipam.calls, []);
  assert.equal(runtime.given.size, 0);
  assert.equal(node.engine.list(), []);
});

test("the agent's own place is used when the runtime has gone away in between", async () => {
  const node = createPodNode();
  const gone = new MemoryIpam();
  gone.trouble = () => {
    throw new BerthError({ code: 'Interrupted', reason: 'ipam-place-gone', message: 'gone' });
  };
  const error = await failureOf(node.attach('c1', macvlan(), { ipam: pool(), ipamPrograms: gone }));
  assert.is(error.reason, 'ipam-place-gone');
  assert.equal(gone.calls, ['ADD c1/net1', 'DEL c1/net1']);
  assert.equal(node.ipam.calls, ['DEL c1/net1']);
  assert.equal(node.engine.list(), []);
});

for (const [what, outcome, reason] of [
  ['garbage', { stdout: 'no JSON' }, 'ipam-answer-invalid'],
  ['an address that is none', { stdout: '{"ips":[{"address":"10.5.0.300/24"}]}' }, 'ipam-answer-invalid'],
  [
    '300 addresses',
    { stdout: JSON.stringify({ ips: Array(300).fill({ address: '10.0.0.1/8' }) }) },
    'ipam-answer-invalid',
  ],
  [
    'a route that no message of the kernel has room for',
    { stdout: '{"ips":[{"address":"10.5.0.3/24"}],"routes":[{"dst":"10.6.0.0/16","mtu":1000000000000}]}' },
    'ipam-answer-invalid',
  ],
  ['one address twice', { stdout: '{"ips":[{"address":"10.5.0.3/24"},{"address":"10.5.0.3/24"}]}' }, 'address-refused'],
  ['an error without words', { end: { kind: 'exited', status: 2 }, stdout: '' }, 'ipam-program-failed'],
  ['a crash', { end: { kind: 'signalled', signal: 11 } }, 'ipam-program-failed'],
  ['nothing in time', { end: { kind: 'timed-out' } }, 'ipam-program-timeout'],
  ['too much', { end: { kind: 'too-long' } }, 'ipam-answer-invalid'],
  ['no program', { end: { kind: 'not-found' } }, 'ipam-program-missing'],
] as const) {
  test(`a program that answers with ${what} fails the ADD, gets its DEL and leaves nothing`, async () => {
    const node = createPodNode();
    node.world.addSandbox('/run/netns/c1');
    const before = node.snapshot();
    node.ipam.trouble = ({ command }) => (command === 'ADD' ? outcome : undefined);
    assert.is((await failureOf(node.attach('c1', macvlan(), { ipam: pool() }))).reason, reason);
    // What was not found was not executed: there is nothing to release.
    const calls = reason === 'ipam-program-missing' ? ['ADD c1/net1'] : ['ADD c1/net1', 'DEL c1/net1'];
    assert.equal(node.ipam.calls, calls);
    assert.is(node.snapshot(), before);
  });
}

test('a program that does not serve the version has given nothing, and is not asked to release it for ever', async () => {
  const node = createPodNode();
  node.ipam.trouble = () => ({
    end: { kind: 'exited', status: 1 },
    stdout: '{"code":1,"msg":"incompatible versions"}',
  });
  const failure = await failureOf(node.attach('c1', macvlan(), { ipam: pool() }));
  assert.equal([failure.reason, failure.code], ['ipam-version-refused', 'Unsupported']);
  assert.match(failure.message, /ADD of the IPAM program pool said: incompatible versions/);
  assert.equal(node.ipam.calls, ['ADD c1/net1']);
  assert.equal([node.engine.list(), node.owned.list().notes], [[], []]);
  await node.detach('c1');
});

test('where the program was found is remembered, also by the next agent', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan(), { ipam: pool() });
  await node.restart().recover();
  const lookedAt: unknown[] = [];
  node.ipam.trouble = ({ foundAt }) => {
    lookedAt.push(foundAt);
    return undefined;
  };
  await node.detach('c1');
  assert.equal(lookedAt, ['/opt/cni/bin/pool']);
});

test('answers of every version of the specification are understood', async () => {
  for (const [answer, addresses, routes] of [
    [
      {
        cniVersion: '0.2.0',
        ip4: { ip: '10.5.0.9/24', gateway: '10.5.0.1', routes: [{ dst: '10.6.0.0/16', gw: '10.5.0.3' }] },
      },
      [{ address: '10.5.0.9/24', gateway: '10.5.0.1' }],
      [{ dst: '10.6.0.0/16', gateway: '10.5.0.3' }],
    ],
    [
      { cniVersion: '0.4.0', ips: [{ version: '4', address: '10.5.0.9/24' }], dns: {} },
      [{ address: '10.5.0.9/24' }],
      [],
    ],
    [
      {
        cniVersion: '1.1.0',
        ips: [{ address: '10.5.0.9/24', gateway: '' }],
        routes: [{ dst: '10.7.0.0/16', mtu: 1400, advmss: 1300, priority: 5, table: 100, scope: 0 }],
      },
      [{ address: '10.5.0.9/24' }],
      [{ dst: '10.7.0.0/16', mtu: 1400, advmss: 1300, priority: 5, table: 100, scope: 0 }],
    ],
    [{}, [], []],
  ] as const) {
    const node = createPodNode();
    node.ipam.trouble = ({ command }) => (command === 'ADD' ? { stdout: JSON.stringify(answer) } : undefined);
    const result = await node.attach('c1', macvlan(), { ipam: pool() });
    assert.equal([result.addresses, result.routes], [addresses, routes]);
  }
});

test('a release that fails is queued: the VF goes to the next pod, the addresses are tried again', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(node.device(1)), { ipam: pool() });
  node.ipam.trouble = ({ command }) => (command === 'DEL' ? failing : undefined);
  assert.match((await failureOf(node.detach('c1'))).message, 'the server is away');
  const [waiting] = node.engine.list();
  assert.is(waiting?.state, 'stuck');
  assert.match(waiting?.problem ?? '', 'the server is away');
  assert.is(waiting?.addressesOnly, true);

  const result = await node.attach('c2', vf(node.device(1)), { ipam: pool() });
  assert.is(result.pci, node.device(1).address);
  const during = JSON.stringify(node.world.vfs.get(node.device(1).address)?.link?.name);
  node.ipam.trouble = undefined;
  const released = new Promise<void>((resolve) => {
    node.engine.subscribe(() => {
      if (node.engine.list().length === 1) resolve();
    });
  });
  node.clock.tick();
  await released;
  assert.is(
    JSON.stringify(node.world.vfs.get(node.device(1).address)?.link?.name),
    during,
    "the next pod's VF is not touched",
  );
  assert.equal([...node.ipam.given.keys()], ['c2/net1']);
  await node.engine.stop();
});

test('a queued release is taken up again by a successor', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan(), { ipam: pool() });
  node.ipam.trouble = () => failing;
  await failureOf(node.detach('c1'));
  await node.engine.stop();
  node.ipam.trouble = undefined;
  assert.equal((await node.restart().recover()).restored, ['c1@net1']);
  assert.equal(node.ipam.given.size, 0);
});

test('after a reboot what was given then is released, without records', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan(), { ipam: pool() });
  node.records.files.clear();
  node.bootId = 'boot-2';
  // Its server is away just after the boot; nobody waits for it.
  let failures = 0;
  const released = Promise.withResolvers<void>();
  node.ipam.trouble = () => {
    failures += 1;
    if (failures > 2) released.resolve();
    return failures <= 2 ? failing : undefined;
  };
  assert.equal((await node.restart().recover()).addressProblems, []);
  while (failures <= 2) {
    node.clock.tick();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await released.promise;
  await node.engine.stop();
  assert.equal([node.ipam.given.size, node.owned.notes.size], [0, 0]);
});

test('a DEL while the program works ends it, and what it did is undone', async () => {
  const node = createPodNode();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<undefined>();
  node.ipam.trouble = ({ command }) => {
    if (command !== 'ADD') return undefined;
    asked.resolve();
    return answer.promise;
  };
  const adding = failureOf(node.attach('c1', macvlan(), { ipam: pool() }));
  await asked.promise;
  const deleting = node.detach('c1');
  answer.resolve(undefined);
  await deleting;
  assert.is((await adding).reason, 'operation-cancelled');
  assert.equal(node.engine.list(), []);
  assert.equal(node.ipam.calls, ['ADD c1/net1', 'DEL c1/net1']);
});

test("CHECK asks the program with the runtime's configuration, and tells its words", async () => {
  const node = createPodNode();
  const result = await node.attach('c1', macvlan(), { ipam: pool() });
  const sandbox = node.openSandbox('c1');
  const inputs: string[] = [];
  node.ipam.trouble = (call) => {
    inputs.push(call.stdin);
    return failing;
  };
  const request = {
    key: { containerId: node.engine.list()[0]?.containerId, ifname: result.ifname },
    sandbox,
    link: macvlan(),
    expected: result,
    stdin: '{"prevResult":{}}',
  } as Parameters<typeof node.engine.check>[0];
  const error = await failureOf(node.engine.check(request, { requestId: 'r', signal: new AbortController().signal }));
  sandbox.close();
  assert.is(error.reason, 'attachment-changed');
  assert.match(error.message, 'pool: the server is away');
  assert.equal(inputs, ['{"prevResult":{}}']);
});

test('an address that a neighbour has is refused with the MAC of its holder, and not left behind', async () => {
  const node = createPodNode();
  node.world.addSandbox('/run/netns/c1');
  const before = node.snapshot();
  node.world.neighbours.add('10.1.0.2');
  const error = await failureOf(node.attach('c1', macvlan(), { detectDuplicates: true }));
  assert.is(error.reason, 'address-duplicate');
  assert.match(error.message, '10.1.0.2 is used by 02:00:00:00:ee:01');
  assert.is(node.snapshot(), before);
  assert.ok((await node.attach('c1', macvlan(), { detectDuplicates: true })).addresses[0]?.address === '10.1.0.3/24');
});

for (const [what, link, from] of [
  ['a macvlan asks by itself', macvlan(), ['sandbox net1']],
  ["an ipvlan of layer 2 has its uplink's MAC, so the uplink asks", ipvlan(), ['node eth1']],
  ['an ipvlan of layer 3 has no ARP', ipvlan({ mode: 'l3' }), []],
  ['nor has one of layer 3 with symmetric filters', ipvlan({ mode: 'l3s' }), []],
] as const) {
  test(`looking for other users of an address: ${what}`, async () => {
    const node = createPodNode();
    await node.attach('c1', link, { detectDuplicates: true });
    assert.equal(node.world.probed, from);
    await node.attach('c2', link);
    assert.equal(node.world.probed, from);
  });
}

test.run();
