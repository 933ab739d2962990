/** The cluster side against the API server's stand-in: what is written, when, and what failures do. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import type { Logger } from '../../src/engine/logger.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import type { AgentStatus } from '../../src/engine/view.ts';
import { type Cluster, type ClusterParts, startCluster } from '../../src/kubernetes/index.ts';
import { type ApiServer, type Fault, startApiServer } from '../standins/apiserver/agent-calls.ts';
import { eventually as untilTrue } from '../standins/eventually.ts';
import { healthyStatus, inventoryOf, NODE, viewOf } from './node.ts';
import { QuickClock } from './quick-clock.ts';

/** How long the inventory's changes are gathered with the middle of all random numbers. */
const GATHERED_MS = 3000;

/** Waits until it holds. */
async function eventually(holds: () => boolean): Promise<void> {
  await untilTrue(
    () => assert.ok(holds()),
    10_000,
    () => holds.toString(),
  );
}

interface Scene {
  readonly server: ApiServer;
  readonly clock: QuickClock;
  readonly cluster: Cluster;
  readonly warnings: string[];
  status: AgentStatus;
  inventory: Inventory;
  change(): void;
  restartKubelet(): void;
}

const small = await inventoryOf({ node: NODE, pfs: [{ vfs: 2 }] });
const larger = await inventoryOf({ node: NODE, pfs: [{ vfs: 3 }] });

async function withCluster(
  parts: ClusterParts,
  body: (scene: Scene) => Promise<void>,
  prepare: (server: ApiServer) => void = () => undefined,
): Promise<void> {
  const server = await startApiServer(NODE);
  prepare(server);
  const folder = mkdtempSync(join(tmpdir(), 'berth-cluster-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, server.kubeconfig);
  const clock = new QuickClock();
  const listeners = new Set<() => void>();
  const starts = new Set<() => void>();
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (fields: unknown) => void warnings.push(JSON.stringify(fields)) };
  const scene: { status: AgentStatus; inventory: Inventory } = { status: healthyStatus(), inventory: small };
  const cluster = startCluster({
    parts,
    node: NODE,
    kubeconfig,
    view: () => viewOf(scene.inventory),
    status: () => scene.status,
    changes: [
      (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    ],
    kubeletStarts: (listener) => {
      starts.add(listener);
      return () => starts.delete(listener);
    },
    log,
    clock,
    random: () => 0.5,
  });
  try {
    await body(
      Object.assign(scene, {
        server,
        clock,
        cluster,
        warnings,
        change: () => {
          for (const listener of listeners) listener();
        },
        restartKubelet: () => {
          for (const listener of starts) listener();
        },
      }),
    );
    assert.deepEqual(server.refused, [], 'it asked for what it is not meant to ask');
  } finally {
    await cluster.stop();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
    assert.equal(listeners.size + starts.size, 0, 'a listener was left behind');
  }
}

const writes = ({ requests }: ApiServer): number => requests.filter(({ method }) => method === 'PATCH').length;
const vfsOf = (object: unknown): number =>
  (object as { status: { summary: { vfs: number } } } | undefined)?.status.summary.vfs ?? -1;

test('the inventory is written once at the start, and once for each change', async () => {
  await withCluster({ inventory: true }, async (scene) => {
    const { server, cluster } = scene;
    await eventually(() => vfsOf(server.inventories.get(NODE)) === 2);
    scene.inventory = larger;
    for (let i = 0; i < 50; i++) scene.change();
    await eventually(() => vfsOf(server.inventories.get(NODE)) === 3);
    assert.equal(writes(server), 2);
    await eventually(() => cluster.status().inventory?.writes === 2);
  });
});

test('nothing is written for a change that changes nothing in it', async () => {
  await withCluster({ inventory: true }, async (scene) => {
    const { server, clock } = scene;
    await eventually(() => writes(server) === 1);
    const gathered = (): number => clock.pauses.filter((ms) => ms === GATHERED_MS).length;
    await eventually(() => gathered() === 1);
    scene.status = healthyStatus({ process: { rssBytes: 5, eventLoopMaxMs: 5 } });
    scene.change();
    await eventually(() => gathered() === 2);
    scene.inventory = larger;
    scene.change();
    await eventually(() => vfsOf(server.inventories.get(NODE)) === 3);
    assert.equal(writes(server), 2);
  });
});

test('an agent that starts anew writes nothing when the object says what is so', async () => {
  let object: unknown;
  await withCluster({ inventory: true }, async ({ server }) => {
    await eventually(() => server.inventories.has(NODE));
    object = server.inventories.get(NODE);
  });
  await withCluster(
    { inventory: true },
    async (scene) => {
      const { server, clock } = scene;
      clock.pass(3_600_000);
      await eventually(() => server.requests.length >= 1 && clock.pauses.length >= 1);
      scene.inventory = larger;
      scene.change();
      await eventually(() => vfsOf(server.inventories.get(NODE)) === 3);
      assert.equal(writes(server), 1);
    },
    (server) => {
      const stored = object as { status: object; metadata: object };
      const { metadata } = stored;
      server.inventories.set(NODE, { ...stored, metadata: { ...metadata, uid: 'u', managedFields: [] } });
    },
  );
});

const SERVER_FAULTS: readonly (readonly [string, Fault, RegExp])[] = [
  ['a conflict (409)', { status: 409 }, /api-server-busy/],
  ['a version that is gone (410)', { status: 410 }, /api-server-busy/],
  ['too many requests (429)', { status: 429, headers: { 'retry-after': '7' } }, /api-server-busy/],
  ['a failure of the server (500)', { status: 500, text: 'etcdserver: leader changed' }, /leader changed/],
  ['a closed connection', 'close', /api-server-unreachable/],
  ['missing rights (403)', { status: 403 }, /api-server-refused/],
  ['an object that is refused (422)', { status: 422 }, /api-object-refused/],
];

for (const [what, fault, said] of SERVER_FAULTS) {
  test(`${what} is told once, shown, and tried again`, async () => {
    await withCluster(
      { inventory: true },
      async ({ server, cluster, warnings }) => {
        await eventually(() => server.inventories.has(NODE));
        assert.equal(warnings.length, 1, warnings.join('\n'));
        assert.match(warnings[0] ?? '', said);
        await eventually(() => cluster.status().inventory?.problem === undefined);
      },
      (server) => server.faults.push(fault, fault),
    );
  });
}

test('the pause that the server asks for is kept, and missing rights are not asked for every second', async () => {
  await withCluster(
    { inventory: true },
    async ({ server, clock }) => {
      await eventually(() => server.inventories.has(NODE));
      assert.ok(clock.pauses.includes(60_000), `after 429: ${clock.pauses.join(', ')}`);
      // With the middle of all random numbers, three quarters: 15 s first, at the sixth time five minutes.
      for (const pauseMs of [11_250, 22_500, 45_000, 90_000, 180_000, 225_000]) {
        assert.ok(clock.pauses.includes(pauseMs), `after 403: ${clock.pauses.join(', ')}`);
      }
    },
    (server) => {
      for (let i = 0; i < 6; i++) server.faults.push({ status: 403 });
      server.faults.push({ status: 429, headers: { 'retry-after': '60' } });
    },
  );
});

test('a missing definition is shown with its remedy until somebody applies it', async () => {
  await withCluster(
    { inventory: true },
    async ({ server, cluster, warnings }) => {
      await eventually(() => cluster.status().inventory?.problem !== undefined);
      assert.match(
        cluster.status().inventory?.problem ?? '',
        /^reading NodeNetworkInventory node-1: the cluster has no definition of NodeNetworkInventory \[api-resource-missing\]$/,
      );
      assert.match(warnings[0] ?? '', /crd\.yaml/);
      server.hasDefinition = true;
      await eventually(() => server.inventories.has(NODE));
    },
    (server) => {
      server.hasDefinition = false;
    },
  );
});

const ownersOf = (object: unknown): unknown =>
  (object as { metadata?: { ownerReferences?: unknown } } | undefined)?.metadata?.ownerReferences;
const owner = (uid: string) => [{ apiVersion: 'v1', kind: 'Node', name: NODE, uid }];
test('the object belongs to the Node, and goes with it', async () => {
  await withCluster({ inventory: true }, async ({ server }) => {
    await eventually(() => server.inventories.has(NODE));
    assert.deepEqual(ownersOf(server.inventories.get(NODE)), owner('uid-1'));
  });
});

test('an object of an older Berth is given its owner, though nothing else differs', async () => {
  let object: unknown;
  await withCluster({ inventory: true }, async ({ server }) => {
    await eventually(() => server.inventories.has(NODE));
    object = server.inventories.get(NODE);
  });
  await withCluster(
    { inventory: true },
    async ({ server }) => {
      await eventually(() => ownersOf(server.inventories.get(NODE)) !== undefined);
      assert.equal(writes(server), 1);
    },
    (server) => server.inventories.set(NODE, { ...(object as object), metadata: { name: NODE } }),
  );
});

test('a Node that was made anew under its name owns the object when its kubelet has come back', async () => {
  await withCluster({ inventory: true }, async (scene) => {
    const { server } = scene;
    await eventually(() => server.inventories.has(NODE));
    // The garbage collector of the cluster, which takes the object with the Node.
    server.inventories.delete(NODE);
    server.nodeUid = 'uid-2';
    scene.restartKubelet();
    await eventually(() => server.inventories.has(NODE));
    assert.deepEqual(ownersOf(server.inventories.get(NODE)), owner('uid-2'));
    assert.equal(vfsOf(server.inventories.get(NODE)), 2);
  });
});

test('a kubelet that comes back to the same Node costs a look at it and no write', async () => {
  await withCluster({ inventory: true }, async (scene) => {
    const { server } = scene;
    const looks = (): number => server.requests.filter(({ path }) => path === `/api/v1/nodes/${NODE}`).length;
    await eventually(() => server.inventories.has(NODE) && looks() === 1);
    scene.restartKubelet();
    await eventually(() => looks() === 2);
    scene.inventory = larger;
    scene.change();
    await eventually(() => vfsOf(server.inventories.get(NODE)) === 3);
    assert.equal(writes(server), 2);
  });
});

test('nothing is written for a node that the cluster does not have, until it has it', async () => {
  await withCluster(
    { inventory: true },
    async ({ server, cluster, warnings }) => {
      await eventually(() => /node-not-registered/.test(cluster.status().inventory?.problem ?? ''));
      assert.match(warnings[0] ?? '', /--node-name/);
      assert.equal(server.inventories.size, 0);
      server.nodeUid = 'uid-1';
      await eventually(() => server.inventories.has(NODE));
      await eventually(() => cluster.status().inventory?.problem === undefined);
    },
    (server) => {
      server.nodeUid = undefined;
    },
  );
});

test('without the right to read its Node the agent writes all the same, keeps the owner, and says what that means', async () => {
  await withCluster(
    { inventory: true },
    async (scene) => {
      const { server, cluster, warnings } = scene;
      await eventually(() => server.inventories.has(NODE));
      assert.equal(ownersOf(server.inventories.get(NODE)), undefined);
      await eventually(() => /it stays when its node is removed/.test(cluster.status().inventory?.problem ?? ''));
      assert.match(warnings.join('\n'), /Apply the roles of this release/);
      server.mayReadNode = true;
      scene.inventory = larger;
      scene.change();
      await eventually(() => ownersOf(server.inventories.get(NODE)) !== undefined);
      await eventually(() => cluster.status().inventory?.problem === undefined);
      server.mayReadNode = false;
      scene.inventory = small;
      scene.change();
      await eventually(() => vfsOf(server.inventories.get(NODE)) === 2);
      assert.deepEqual(ownersOf(server.inventories.get(NODE)), owner('uid-1'));
    },
    (server) => {
      server.mayReadNode = false;
    },
  );
});

test('an object that the agent may give no owner is written without, and who removes it is told so', async () => {
  await withCluster(
    { inventory: true },
    async (scene) => {
      const { server, cluster, warnings } = scene;
      await eventually(() => vfsOf(server.inventories.get(NODE)) === 2);
      assert.equal(ownersOf(server.inventories.get(NODE)), undefined);
      await eventually(() => /cannot set an ownerRef/.test(cluster.status().inventory?.problem ?? ''));
      assert.match(warnings.join('\n'), /kubectl delete nni node-1/);
      scene.inventory = larger;
      scene.change();
      await eventually(() => vfsOf(server.inventories.get(NODE)) === 3);
      assert.equal(warnings.length, 1, 'it is told once');
      server.inventories.delete(NODE);
      scene.inventory = small;
      scene.change();
      await eventually(() => ownersOf(server.inventories.get(NODE)) !== undefined);
      await eventually(() => cluster.status().inventory?.problem === undefined);
    },
    (server) => {
      server.guardsOwners = true;
      server.inventories.set(NODE, { metadata: { name: NODE } });
    },
  );
});

for (const [served, said, remedy] of [
  [
    ['v1alpha0'],
    /defines NodeNetworkInventory as berth\.dev\/v1alpha0, and this Berth needs berth\.dev\/v1alpha1/,
    /apply .*crd\.yaml/,
  ],
  [
    ['v1beta1', 'v1'],
    /as berth\.dev\/v1beta1, berth\.dev\/v1, and this Berth needs/,
    /newer release: update this Berth/,
  ],
] as const) {
  test(`a definition of ${served.join(' and ')} is told from none`, async () => {
    await withCluster(
      { inventory: true },
      async ({ server, cluster, warnings }) => {
        await eventually(() => /api-version-missing/.test(cluster.status().inventory?.problem ?? ''));
        assert.match(cluster.status().inventory?.problem ?? '', said);
        assert.match(warnings[0] ?? '', remedy);
        server.hasDefinition = true;
        await eventually(() => server.inventories.has(NODE));
      },
      (server) => {
        server.hasDefinition = false;
        server.served = served;
      },
    );
  });
}

test('a server that never answers keeps nobody from stopping', async () => {
  await withCluster(
    { inventory: true, events: true, labels: true, startupTaint: true },
    async ({ server }) => server.until(1),
    (server) => server.faults.push('silent', 'silent', 'silent', 'silent'),
  );
});

test('the start-up taint is taken off, and the others stay', async () => {
  await withCluster(
    { startupTaint: true },
    async ({ server, cluster }) => {
      await eventually(() => cluster.status().startupTaint?.removed === true);
      assert.deepEqual(server.taints, [{ key: 'dedicated', effect: 'NoSchedule' }]);
    },
    (server) =>
      server.taints.push(
        { key: 'berth.dev/agent-not-ready', effect: 'NoSchedule' },
        { key: 'dedicated', effect: 'NoSchedule' },
        { key: 'berth.dev/agent-not-ready', effect: 'NoExecute' },
      ),
  );
});

test('a list of taints that somebody else changes meanwhile is read again', async () => {
  await withCluster(
    { startupTaint: true },
    async ({ server, cluster }) => {
      await eventually(() => cluster.status().startupTaint?.removed === true);
      assert.deepEqual(server.taints, []);
    },
    (server) => {
      server.taints.push({ key: 'berth.dev/agent-not-ready', effect: 'NoSchedule' });
      server.faults.push({
        status: 200,
        text: '{"spec":{"taints":[{"key":"x"},{"key":"berth.dev/agent-not-ready"}]}}',
      });
    },
  );
});

test('labels follow the NICs', async () => {
  await withCluster({ labels: true }, async (scene) => {
    const { server } = scene;
    await eventually(() => server.labels['network.berth.dev/sriov'] === 'true');
    const count = Object.keys(server.labels).find((key) => key.startsWith('network.berth.dev/nic-'));
    assert.equal(server.labels[count ?? ''], '1');
    scene.inventory = { ...small, nics: [] };
    scene.change();
    await eventually(() => server.labels['network.berth.dev/sriov'] === undefined);
  });
});

interface SeenEvent {
  readonly reason: string;
  readonly type: string;
  readonly count: number;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly namespace?: string };
}
const eventsOf = (server: ApiServer): readonly SeenEvent[] => server.events as readonly SeenEvent[];

test('a node tells when something breaks, and when it is mended', async () => {
  await withCluster({ events: true }, async (scene) => {
    const { server } = scene;
    scene.status = healthyStatus({ configuration: { source: 'f', problems: ['f:3: wrong'], warnings: [] } });
    scene.change();
    await eventually(() => eventsOf(server).length === 1);
    scene.status = healthyStatus();
    scene.change();
    await eventually(() => eventsOf(server).length === 2);
    assert.deepEqual(
      eventsOf(server).map(({ reason, type, involvedObject }) => [reason, type, involvedObject.kind]),
      [
        ['ConfigurationRefused', 'Warning', 'Node'],
        ['ConfigurationUsed', 'Normal', 'Node'],
      ],
    );
  });
});

const FAILED = {
  about: { kind: 'Pod', namespace: 'shop', name: 'web-0', uid: 'u-1' },
  type: 'Warning',
  reason: 'AttachmentFailed',
  note: 'net1 of network lan: no address is free',
} as const;

test('a pod that fails again and again is told of once, and counted', async () => {
  await withCluster({ events: true }, async ({ server, cluster, clock }) => {
    for (let i = 0; i < 5; i++) cluster.event(FAILED);
    await eventually(() => eventsOf(server).length === 1);
    clock.pass(601_000);
    cluster.event(FAILED);
    await eventually(() => eventsOf(server).length === 3);
    assert.deepEqual(
      eventsOf(server).map(({ count }) => count),
      [1, 4, 1],
    );
    assert.equal(eventsOf(server)[0]?.involvedObject.namespace, 'shop');
  });
});

test('repetitions are told when their time is over, though nothing else happens', async () => {
  await withCluster({ events: true }, async ({ server, cluster, clock }) => {
    cluster.event(FAILED);
    await eventually(() => eventsOf(server).length === 1);
    for (let i = 0; i < 3; i++) cluster.event(FAILED);
    clock.pass(601_000);
    await eventually(() => eventsOf(server).length === 2);
    assert.equal(eventsOf(server)[1]?.count, 3);
  });
});

test('more events than can be sent are dropped and counted', async () => {
  await withCluster(
    { events: true },
    async ({ cluster, server }) => {
      await Promise.all([
        server.until(1),
        ...Array.from({ length: 300 }, (_, i) => cluster.event({ ...FAILED, note: `${i}` })),
      ]);
      assert.ok((cluster.status().events?.dropped ?? 0) >= 190);
    },
    (server) => server.faults.push('silent'),
  );
});

test('parts that are switched off ask for nothing', async () => {
  await withCluster({}, async (scene) => {
    scene.change();
    scene.cluster.event(FAILED);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(scene.server.requests, []);
    assert.deepEqual(scene.cluster.status(), {});
  });
});

test('credentials that are not there are an error with a remedy', () => {
  const start = (kubeconfig?: string) =>
    startCluster({
      parts: { inventory: true },
      node: NODE,
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      view: () => viewOf(small),
      status: () => healthyStatus(),
      changes: [],
      kubeletStarts: () => () => undefined,
      log: silentLogger,
    });
  assert.throws(() => start('/nonexistent/kubeconfig'), { reason: 'kubeconfig-unusable' });
});

test.run();
