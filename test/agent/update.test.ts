/** The agent is replaced by another release's while 64 pods start and 64 end: nothing is lost, and nothing left. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { eventually } from '../standins/eventually.ts';
import { PluginFailure, type Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode }>('agent update');
const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 64, uplinks: [{ names: [up0] }] }\n';
const PODS = 64;
const LIMIT_MS = 30_000;

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

function reserved(node: AgentNode): readonly string[] {
  const folder = join(node.folder, 'networks', 'lan');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('10.')) : [];
}

/** As kubelet does: a DEL that fails is repeated. */
async function deleteUntilItIsGone(node: AgentNode, name: string): Promise<void> {
  await eventually(
    async () => {
      try {
        await node.runtime.deletePod(pod(name));
      } catch (error) {
        assert.ok(error instanceof PluginFailure, String(error));
        assert.equal(error.answer?.code, 11);
        throw error;
      }
    },
    LIMIT_MS,
    () => `pod ${name} to be deleted\n${node.agentLog()}`,
  );
}

/** As kubelet does: a pod whose sandbox could not be made gets another one. */
async function addUntilItRuns(node: AgentNode, name: string): Promise<number> {
  let failures = 0;
  await eventually(
    async () => {
      try {
        await node.runtime.addPod(pod(name), [{ network: node.network('lan') }]);
      } catch (error) {
        failures += 1;
        const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
        assert.ok(first instanceof PluginFailure, String(first));
        assert.equal(first.answer?.code, 11, 'every failure says that trying again helps');
        throw error;
      }
    },
    LIMIT_MS,
    () => `pod ${name} to run\n${node.agentLog()}`,
  );
  return failures;
}

/** Throws the first failure. Asked for at the end: until then nobody else sees it, and the node has to be taken down. */
function requireAll(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();
  test.before.each(async (context) => {
    context.node = await createAgentNode(CONFIG);
  });
  test.after.each(({ node }) => node.remove());

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    test(`${signal} in the middle of ${PODS} ADDs, then of ${PODS} DELs`, async ({ node }) => {
      const names = Array.from({ length: PODS }, (_none, index) => `p${index}`);
      const first = await node.startAgent();
      const adds = names.map((name) => addUntilItRuns(node, name));
      const added = Promise.allSettled(adds);
      await Promise.race(adds);
      await node.endAgent(first, signal);
      const second = await node.startAgent();
      requireAll(await added);
      assert.equal((await node.status()).attachments.total, PODS);
      assert.equal(reserved(node).length, PODS);
      for (const name of names) await node.runtime.checkPod(pod(name));

      const dels = names.map((name) => deleteUntilItIsGone(node, name));
      const deleted = Promise.allSettled(dels);
      await Promise.race(dels);
      await node.endAgent(second, signal);
      // Those that find nobody are spooled, and succeed all the same; those that were cut short are repeated.
      requireAll(await deleted);
      await node.startAgent();
      await eventually(
        async () => {
          const { attachments, spool } = await node.status();
          assert.deepEqual([attachments.total, spool.entries, reserved(node)], [0, 0, []]);
        },
        LIMIT_MS,
        () => `nothing to be left\n${node.agentLog()}`,
      );
    });
  }
}

test.run();
