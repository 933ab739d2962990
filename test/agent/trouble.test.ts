/**
 * The whole program when the node is in trouble: very many ADDs at once, a state folder that cannot be
 * written or has no room, an address lock that somebody else holds, and sandboxes and shims that end in the
 * middle of a call.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { tryLock } from '../../src/linux/ffi/index.ts';
import { ip, leaveMachine, makeNamedNamespace } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { eventually } from '../standins/eventually.ts';
import { type NetworkDefinition, PluginFailure, type Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode; agent: ChildProcess }>('agent in trouble');
const AT_ONCE = 256;
const LIMIT_MS = 30_000;

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

const networksOf = ({ folder }: AgentNode): string => join(folder, 'networks');

/** A network with room for more than 256 pods. */
function wide(node: AgentNode, dataDir = networksOf(node)): NetworkDefinition {
  const { config, ...rest } = node.network('wide');
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.90.0.0/16' }]] };
  return { ...rest, config: { ...config, ipam } };
}

function reserved(node: AgentNode, dataDir = networksOf(node)): readonly string[] {
  return readdirSync(join(dataDir, 'wide')).filter((name) => name.startsWith('10.'));
}

const stateOf = ({ folder }: AgentNode): string => join(folder, 'state');

function mount(...words: readonly string[]): void {
  execFileSync('mount', ['-n', ...words]);
}

const total = async (node: AgentNode): Promise<number> => (await node.status()).attachments.total;

async function refusalOf(work: Promise<unknown>): Promise<PluginFailure> {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failure instanceof PluginFailure, String(failure));
  return failure;
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();
  test.before.each(async (context) => {
    context.node = await createAgentNode('pools: []\n');
    // A file system of its own, so that it can be made read-only, or filled.
    mount('-t', 'tmpfs', '-o', 'size=8m', 'berth-test', stateOf(context.node));
    context.agent = await context.node.startAgent();
  });
  test.after.each(async ({ node }) => {
    execFileSync('umount', ['--lazy', stateOf(node)]);
    await node.remove();
  });

  test(`${AT_ONCE} ADDs at once get as many addresses, and as many DELs leave nothing`, async ({ node }) => {
    const network = wide(node);
    const pods = Array.from({ length: AT_ONCE }, (_, at) => pod(`p${at}`));
    await Promise.all(pods.map((each) => node.runtime.addPod(each, [{ network }])));
    assert.equal(await total(node), AT_ONCE);
    assert.equal(reserved(node).length, AT_ONCE);
    await Promise.all(pods.map((each) => node.runtime.deletePod(each)));
    assert.equal(await total(node), 0);
    assert.deepEqual(reserved(node), []);
  });

  test('a state folder that cannot be written refuses ADD with its path and leaves nothing, and a DEL does not lie', async ({
    node,
  }) => {
    const network = wide(node);
    await node.runtime.addPod(pod('before'), [{ network }]);
    mount('-o', 'remount,ro', stateOf(node));
    const { answer } = await refusalOf(node.runtime.addPod(pod('refused'), [{ network }]));
    assert.equal(answer?.code, 5);
    assert.ok(`${answer?.msg}`.includes(stateOf(node)), answer?.msg);
    assert.equal(await total(node), 1);
    assert.equal(reserved(node).length, 1);

    const failed = await refusalOf(node.runtime.deletePod(pod('before')));
    assert.match(failed.answer?.msg ?? '', /EROFS/);

    mount('-o', 'remount,rw', stateOf(node));
    await node.runtime.addPod(pod('after'), [{ network }]);
    for (const name of ['before', 'after']) await node.runtime.deletePod(pod(name));
    assert.deepEqual([await total(node), reserved(node)], [0, []]);
  });

  test('a full disk refuses ADD and leaves nothing, and a DEL works; with the agent away a DEL does not lie', async ({
    node,
    agent,
  }) => {
    // Its addresses are below the same folder, as all of this is below /var/lib on a node.
    const dataDir = join(stateOf(node), 'networks');
    const network = wide(node, dataDir);
    for (const name of ['first', 'second']) await node.runtime.addPod(pod(name), [{ network }]);
    const filler = fill(stateOf(node));
    const { answer } = await refusalOf(node.runtime.addPod(pod('refused'), [{ network }]));
    assert.deepEqual([answer?.code, /ENOSPC/.test(`${answer?.msg}`)], [5, true], answer?.msg);
    await node.runtime.deletePod(pod('first'));
    assert.deepEqual([await total(node), reserved(node, dataDir).length], [1, 1]);

    await node.endAgent(agent, 'SIGTERM');
    // What the agent removed made room.
    filler.more();
    const failed = await refusalOf(node.runtime.deletePod(pod('second')));
    assert.deepEqual([failed.answer?.code, /ENOSPC/.test(`${failed.answer?.msg}`)], [5, true], failed.answer?.msg);
    filler.free();
    await node.runtime.deletePod(pod('second'));
    assert.equal(reserved(node, dataDir).length, 1, 'it is written down');
    await node.startAgent();
    assert.deepEqual([await total(node), reserved(node, dataDir)], [0, []]);
  });

  test('an address lock that another process holds is waited for', async ({ node }) => {
    const network = wide(node);
    const lock = holdLock(node);
    const adding = node.runtime.addPod(pod('app'), [{ network }]);
    await eventually(
      async () => assert.equal(await total(node), 1),
      LIMIT_MS,
      () => 'the ADD to wait for its address',
    );
    assert.deepEqual(reserved(node), []);
    lock.release();
    await adding;
    assert.equal(reserved(node).length, 1);
    await node.runtime.deletePod(pod('app'));
  });

  test('an agent that was killed looks at its attachments before it serves: sandboxes that died meanwhile leave nothing', async ({
    node,
    agent,
  }) => {
    const network = wide(node);
    for (const name of ['dies', 'lives']) await node.runtime.addPod(pod(name), [{ network }]);
    await node.endAgent(agent, 'SIGKILL');
    await node.runtime.loseSandbox(pod('dies'));
    await node.startAgent();
    assert.deepEqual([await total(node), reserved(node).length], [1, 1]);
    await node.runtime.checkPod(pod('lives'));
    await node.runtime.deletePod(pod('lives'));
    assert.deepEqual([await total(node), reserved(node)], [0, []]);
  });

  test('a shim that is killed in the middle of an ADD or of a DEL leaves nothing, and nobody has to call again', async ({
    node,
  }) => {
    const { name, path, remove } = makeNamedNamespace();
    const linkNames = (): readonly string[] =>
      (JSON.parse(ip('-n', name, '-j', 'link', 'show')) as readonly { ifname: string }[]).map(({ ifname }) => ifname);
    try {
      const duringAdd = holdLock(node);
      const adding = executeShim(node, 'ADD', path);
      await eventually(
        async () => assert.equal(await total(node), 1),
        LIMIT_MS,
        () => 'the ADD to wait for its address',
      );
      await endShim(adding);
      await eventually(
        async () => assert.equal(await total(node), 0),
        LIMIT_MS,
        () => `the ADD to be undone\n${node.agentLog()}`,
      );
      duringAdd.release();
      assert.deepEqual([linkNames(), reserved(node)], [['lo'], []]);

      const [status] = await once(executeShim(node, 'ADD', path), 'exit');
      assert.equal(status, 0);
      const duringDel = holdLock(node);
      const deleting = executeShim(node, 'DEL', path);
      await eventually(
        () => assert.deepEqual(linkNames(), ['lo']),
        LIMIT_MS,
        () => 'the DEL to wait for its address',
      );
      await endShim(deleting);
      assert.equal(reserved(node).length, 1);
      duringDel.release();
      await eventually(
        async () => assert.deepEqual([await total(node), reserved(node)], [0, []]),
        LIMIT_MS,
        () => `the agent to complete the DEL by itself\n${node.agentLog()}`,
      );
    } finally {
      remove();
    }
  });

  test('a sandbox that ends in the middle of its ADD leaves nothing, however the ADD ends', async ({ node }) => {
    const network = wide(node);
    const lock = holdLock(node);
    const adding = node.runtime.addPod(pod('app'), [{ network }]).catch((error: unknown) => {
      if (!(error instanceof PluginFailure)) throw error;
    });
    await eventually(
      async () => assert.equal(await total(node), 1),
      LIMIT_MS,
      () => 'the ADD to wait for its address',
    );
    await node.runtime.loseSandbox(pod('app'));
    lock.release();
    await adding;
    await eventually(
      async () => assert.deepEqual([await total(node), reserved(node)], [0, []]),
      LIMIT_MS,
      () => `the attachment to be collected\n${node.agentLog()}`,
    );
  });
}

/** The shim as a process of its own, to be killed. */
function executeShim(node: AgentNode, command: 'ADD' | 'DEL', path: string): ChildProcess {
  const shim = spawn(node.shimPath, [], {
    stdio: ['pipe', 'ignore', 'inherit'],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c1',
      CNI_IFNAME: 'net1',
      CNI_NETNS: path,
      CNI_PATH: '/opt/cni/bin',
      BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(stateOf(node), 'spool'),
    },
  });
  shim.stdin?.end(JSON.stringify(wide(node).config));
  return shim;
}

async function endShim(shim: ChildProcess): Promise<void> {
  const ended = once(shim, 'exit');
  shim.kill('SIGKILL');
  assert.equal((await ended)[1], 'SIGKILL');
}

/** Takes what room there is, and again what others gave back; `free` gives all of it away. */
function fill(folder: string): { more(): void; free(): void } {
  const path = join(folder, 'filler');
  const more = (): void => {
    const { bavail, bsize } = statfsSync(folder);
    appendFileSync(path, Buffer.alloc(bavail * bsize));
    assert.equal(statfsSync(folder).bavail, 0);
  };
  more();
  return { more, free: () => rmSync(path) };
}

/** The lock that host-local takes on the network, held as another process holds it. */
function holdLock(node: AgentNode): { release(): void } {
  const folder = join(networksOf(node), 'wide');
  mkdirSync(folder, { recursive: true });
  const fd = openSync(join(folder, 'lock'), 'a');
  assert.ok(tryLock(fd));
  return { release: () => closeSync(fd) };
}

test.run();
