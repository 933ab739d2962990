/**
 * Random sequences of what runtimes, pods and trouble do to one node, against a model that only
 * remembers who is attached to what. After each sequence, once everything is deleted and collected,
 * the node is as it was. `BERTH_LONG=1` runs many more; a failure prints its seed and its shortest
 * sequence.
 */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import { parseContainerId, parseIfName } from '../../../src/engine/values.ts';
import { createPodNode, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { kernelError } from '../../standins/fake-world.ts';
import { pool } from '../../standins/memory-ipam.ts';

const test = suite('random sequences');
const never = new AbortController().signal;
const CONTAINERS = ['c0', 'c1', 'c2', 'c3'] as const;
const LONG = process.env.BERTH_LONG === '1';

type Kind = 'macvlan' | 'delegated' | 'vf0' | 'vf1';
type Container = (typeof CONTAINERS)[number];

type Act =
  | { readonly do: 'add'; readonly container: Container; readonly kind: Kind }
  | { readonly do: 'del' | 'check' | 'lose'; readonly container: Container }
  /** At a random step of an ADD or DEL: it fails, or the agent dies there. */
  | {
      readonly do: 'trouble';
      readonly command: 'add' | 'del';
      readonly container: Container;
      readonly kind: Kind;
      readonly step: number;
      readonly dies: boolean;
    }
  | { readonly do: 'restart' | 'gc' };

const container = fc.constantFrom(...CONTAINERS);
const kind = fc.constantFrom<Kind>('macvlan', 'delegated', 'vf0', 'vf1');
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('add' as const), container, kind }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('del' as const, 'check' as const, 'lose' as const), container }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('trouble' as const),
      command: fc.constantFrom('add' as const, 'del' as const),
      container,
      kind,
      step: fc.integer({ min: 1, max: 30 }),
      dies: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'gc' as const) }) },
);

/** Who has an attachment that was answered with success and not deleted since. */
type Model = Map<Container, Kind>;

function makeNode(): PodNode {
  const node = createPodNode();
  for (const name of CONTAINERS) node.world.addSandbox(`/run/netns/${name}`);
  return node;
}

function attach(node: PodNode, name: Container, which: Kind): Promise<unknown> {
  if (!node.world.paths.has(`/run/netns/${name}`)) node.world.addSandbox(`/run/netns/${name}`);
  if (which === 'macvlan') return node.attach(name, macvlan());
  if (which === 'delegated') return node.attach(name, macvlan(), { ipam: pool() });
  return node.attach(name, vf(node.device(which === 'vf0' ? 0 : 1), { vlan: 7 }));
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    // Anything but an error of ours is a bug.
    assert.is.not(toBerthError(error).code, 'Internal', String(error));
    return false;
  }
}

/** Whether the engine has to take the ADD: nobody has the attachment, nor the device. */
function mustSucceed(model: Model, name: Container, which: Kind): boolean {
  return !model.has(name) && (!which.startsWith('vf') || ![...model.values()].includes(which));
}

async function perform(node: PodNode, model: Model, action: Act): Promise<void> {
  switch (action.do) {
    case 'add': {
      const must = mustSucceed(model, action.container, action.kind);
      const did = await succeeds(attach(node, action.container, action.kind));
      assert.is(did, must, `ADD of ${action.kind} for ${action.container}`);
      if (did) model.set(action.container, action.kind);
      return;
    }
    case 'del':
      assert.ok(await succeeds(node.detach(action.container)), `DEL of ${action.container}`);
      model.delete(action.container);
      return;
    case 'check': {
      if (!node.world.paths.has(`/run/netns/${action.container}`)) return;
      const sandbox = node.openSandbox(action.container);
      const key = { containerId: parseContainerId(action.container), ifname: parseIfName('net1') };
      const request = { key, sandbox, link: macvlan(), expected: { addresses: [], routes: [] } };
      const holds = await succeeds(node.engine.check(request, { requestId: 'r', signal: never }));
      sandbox.close();
      assert.is(holds, model.has(action.container), `CHECK of ${action.container}`);
      return;
    }
    case 'lose': {
      const path = `/run/netns/${action.container}`;
      if (!node.world.paths.has(path)) return;
      const nsid = node.world.destroySandbox(path);
      if (nsid !== undefined) await node.engine.onNamespaceGone(nsid);
      model.delete(action.container);
      return;
    }
    case 'trouble':
      await trouble(node, model, action);
      return;
    case 'restart':
      await node.engine.stop();
      assert.equal((await node.restart().recover()).stuck, []);
      return;
    case 'gc':
      for (const item of (await node.engine.collectGarbage(false)).items) assert.is(item.outcome, 'done', item.why);
      return;
    default:
      action satisfies never;
  }
}

async function trouble(node: PodNode, model: Model, action: Extract<Act, { do: 'trouble' }>): Promise<void> {
  const { container: name, command, dies, kind: which, step } = action;
  const reached = Promise.withResolvers<'reached'>();
  node.kernel.intercept(({ number, what, when }) => {
    if (number < step || when !== 'before') return undefined;
    if (!dies) {
      if (number === step) throw kernelError(what, 'EIO', 'injected');
      return undefined;
    }
    reached.resolve('reached');
    return new Promise<void>(() => undefined);
  });
  const was = model.get(name);
  const work = succeeds(command === 'add' ? attach(node, name, which) : node.detach(name));
  const outcome = await Promise.race([work, reached.promise]);
  node.kernel.intercept(undefined);
  if (outcome === 'reached') {
    // A process's descriptors end with it.
    node.kernel.openHandles = 0;
    const report = await node.restart().recover();
    assert.equal(report.stuck, []);
    // What was complete before an ADD that was refused stays; a DEL is completed, an ADD undone.
    const isThere = node.engine.list().some((row) => row.containerId === name);
    if (command === 'del' && was !== undefined && isThere) await node.detach(name);
    if (command === 'del') model.delete(name);
    else if (was === undefined && isThere) await node.detach(name);
    return;
  }
  if (command === 'add' && outcome && was === undefined) model.set(name, which);
  if (command === 'del') {
    // A DEL that failed is repeated, as runtimes do.
    if (!outcome) assert.ok(await succeeds(node.detach(name)));
    model.delete(name);
  }
}

test('whatever happens, the engine says what is so, and in the end nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: LONG ? 60 : 25 }), async (acts) => {
      const node = makeNode();
      const before = node.snapshot();
      const model: Model = new Map();
      for (const action of acts) {
        await perform(node, model, action);
        assert.equal(
          node.engine
            .list()
            .map((row) => row.containerId)
            .sort(),
          [...model.keys()].sort(),
          `after ${JSON.stringify(action)}`,
        );
      }
      for (const name of CONTAINERS) {
        if (!node.world.paths.has(`/run/netns/${name}`)) node.world.addSandbox(`/run/netns/${name}`);
        await node.detach(name);
      }
      await node.engine.stop();
      assert.is(withoutMacs(node.snapshot()), withoutMacs(before));
      assert.is(node.kernel.openHandles, 0);
    }),
    { numRuns: LONG ? 5_000 : 150, includeErrorInReport: true },
  );
});

/** A sandbox that was made again has another loopback MAC. */
function withoutMacs(snapshot: string): string {
  return snapshot.replace(/^(\/run\/netns\/\S+ lo .*?)(\S\S:){5}\S\S/gm, '$1');
}

test.run();
