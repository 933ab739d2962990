/**
 * The whole program when the node is in trouble: very many ADDs at once, a state folder that cannot be
 * written, an address lock that somebody else holds, and sandboxes that end in the middle of an ADD.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { tryLock } from '../../src/linux/ffi/index.ts';
import { leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { eventually } from '../standins/eventually.ts';
import { type NetworkDefinition, PluginFailure, type Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode }>('agent in trouble');
const AT_ONCE = 256;
const LIMIT_MS = 30_000;

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

/** A network with room for more than 256 pods. */
function wide(node: AgentNode): NetworkDefinition {
  const { config, ...rest } = node.network('wide');
  const ipam = { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet: '10.90.0.0/16' }]] };
  return { ...rest, config: { ...config, ipam } };
}

function reserved(node: AgentNode, network = 'wide'): readonly string[] {
  return readdirSync(join(node.folder, 'networks', network)).filter((name) => name.startsWith('10.'));
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
    // A file system of its own, so that it can be made read-only.
    mount('-t', 'tmpfs', 'berth-test', stateOf(context.node));
    await context.node.startAgent();
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

/** The lock that host-local takes on the network, held as another process holds it. */
function holdLock(node: AgentNode): { release(): void } {
  const folder = join(node.folder, 'networks', 'wide');
  mkdirSync(folder, { recursive: true });
  const fd = openSync(join(folder, 'lock'), 'a');
  assert.ok(tryLock(fd));
  return { release: () => closeSync(fd) };
}

test.run();
