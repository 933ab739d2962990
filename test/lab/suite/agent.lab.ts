/** The agent as a process, killed while it gives a real VF to a pod. */
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { eventually } from '../../standins/eventually.ts';
import type { NetworkDefinition, Pod } from '../../standins/runtime/index.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth0';
const RESOURCE = 'berth.dev/vf';
const LIMIT_MS = 60_000;
/** From the start of the ADD to the kill; an ADD takes some 500 ms here, so these are different steps of it. */
const KILLED_AFTER_MS = [20, 120, 220, 350, 500];

const test = suite<{ lab: LabNode; node: AgentNode }>('agent and VFs');

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

const network: NetworkDefinition = {
  namespace: 'default',
  name: 'tagged',
  resourceName: RESOURCE,
  config: {
    cniVersion: '1.0.0',
    name: 'tagged',
    type: 'sriov',
    vlan: 77,
    vlanQoS: 2,
    spoofchk: 'off',
    trust: 'on',
    mac: '02:00:00:00:be:31',
    mtu: 1400,
    ipam: { type: 'static', addresses: [{ address: '10.9.7.2/24' }] },
  },
};

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    const lab = await createLabNode(PF, 1);
    context.lab = lab;
    context.node = await createAgentNode('pools:\n  - { name: vf, kind: vf }\n', {
      devicesOf: () => new Map([[RESOURCE, lab.vfs]]),
      onMachine: true,
    });
  });
  test.after.each(async ({ lab, node }) => {
    await node.remove();
    await lab.remove();
  });

  test('kill -9 in the middle of an ADD leaves the VF at its baseline, and a retry succeeds', async ({ lab, node }) => {
    let agent = await node.startAgent();
    // From its first use on igb lists a VF's own MAC: the baseline is that of a used one.
    await node.runtime.addPod(pod('first'), [{ network }]);
    await node.runtime.deletePod(pod('first'));
    const before = lab.baseline();
    for (const afterMs of KILLED_AFTER_MS) {
      const adding = node.runtime.addPod(pod(`p${afterMs}`), [{ network }]).then(
        () => true,
        () => false,
      );
      await delay(afterMs);
      await node.endAgent(agent, 'SIGKILL');
      const isAttached = await adding;

      agent = await node.startAgent();
      if (isAttached) await node.runtime.deletePod(pod(`p${afterMs}`));
      await eventually(
        async () => {
          assert.is((await node.status()).attachments.total, 0);
          assert.is(lab.baseline(), before);
        },
        LIMIT_MS,
        () => `the baseline after a kill at ${afterMs} ms\n${node.agentLog()}`,
      );
      await node.runtime.addPod(pod('again'), [{ network }]);
      await node.runtime.deletePod(pod('again'));
      assert.is(lab.baseline(), before);
    }
  });
}

test.run();
