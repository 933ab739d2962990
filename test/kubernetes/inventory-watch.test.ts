/** Following the inventories against the stand-in: what is asked, what is shown, and what failures become. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { watchInventories } from '../../src/kubernetes/dashboard.ts';
import type { SilenceLimits } from '../../src/kubernetes/inventory-listing.ts';
import type { InventoryWatch } from '../../src/kubernetes/inventory-watch.ts';
import {
  type DashboardApi,
  kubeconfigFor,
  type ReadFault,
  type StoredInventory,
  startDashboardApi,
} from '../standins/apiserver/dashboard-calls.ts';
import { inventoryNamed } from './inventories.ts';
import { QuickClock } from './quick-clock.ts';

interface Scene {
  readonly api: DashboardApi;
  readonly clock: QuickClock;
  readonly watch: InventoryWatch;
  readonly kubeconfig: string;
  /** Resolves when it holds, looking at each change and each request. */
  until(holds: () => boolean): Promise<void>;
}

const small = await inventoryNamed('worker-1', { pfs: [{ vfs: 2 }] });
const named = (name: string): StoredInventory => ({ ...small, metadata: { name } });
const larger = await inventoryNamed('worker-1', { pfs: [{ vfs: 3 }] });

async function following(
  objects: readonly StoredInventory[],
  body: (scene: Scene) => Promise<void>,
  prepare: (api: DashboardApi) => void = () => undefined,
  { tls, limits = {} }: { readonly tls?: { key: string; cert: string }; readonly limits?: SilenceLimits } = {},
): Promise<void> {
  const api = await startDashboardApi(objects, tls);
  prepare(api);
  const folder = mkdtempSync(join(tmpdir(), 'berth-dashboard-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, api.kubeconfig);
  const clock = new QuickClock();
  const watch = watchInventories({ kubeconfig, clock, random: () => 0.5, limits });
  const stopped = new AbortController();
  const running = watch.run(stopped.signal);
  const until = async (holds: () => boolean): Promise<void> => {
    const deadline = Date.now() + 10_000;
    while (!holds()) {
      assert.ok(Date.now() < deadline, `${holds}: ${JSON.stringify(watch.document.connection)} ${api.requests}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  try {
    await body({ api, clock, watch, kubeconfig, until });
    assert.deepEqual(api.refused, [], 'it asked for what it is not meant to ask');
  } finally {
    stopped.abort();
    await running;
    await api.close();
    rmSync(folder, { recursive: true });
  }
}

const isLive = ({ watch }: Scene) => watch.document.connection.state === 'live';
const reasonOf = ({ watch }: Scene) => watch.document.connection.problem?.reason;

test('one list and one watch, and after that nothing is asked as long as the watch lasts', async () => {
  await following([named('a'), named('b')], async (scene) => {
    const { api, until, watch } = scene;
    await until(() => isLive(scene));
    assert.deepEqual([...watch.document.nodes.keys()], ['a', 'b']);
    assert.deepEqual(watch.document.identity, { context: 'test', server: api.url });
    for (let round = 0; round < 20; round++) api.put(round % 2 === 0 ? larger : small);
    await until(() => watch.document.nodes.get('worker-1')?.devices.size === 3);
    assert.deepEqual(api.requests, ['LIST', 'WATCH 102']);
  });
});

test('many nodes are listed in portions', async () => {
  const many = Array.from({ length: 120 }, (_, index) => named(`n-${index}`));
  await following(many, async (scene) => {
    await scene.until(() => isLive(scene));
    assert.equal(scene.watch.document.nodes.size, 120);
    assert.deepEqual(scene.api.requests.slice(0, 3), ['LIST', 'LIST from 50', 'LIST from 100']);
  });
});

test('nodes come, change and go, and what did not change stays the same object', async () => {
  await following([small, named('b')], async (scene) => {
    const { api, until, watch } = scene;
    await until(() => isLive(scene));
    const before = watch.document;
    api.put(larger);
    await until(() => watch.document !== before);
    assert.equal(watch.document.nodes.get('b'), before.nodes.get('b'));
    const [nic] = watch.document.nodes.get('worker-1')?.devices.values() ?? [];
    assert.notEqual(nic, [...(before.nodes.get('worker-1')?.devices.values() ?? [])][0], 'it has one VF more');
    api.remove('b');
    await until(() => !watch.document.nodes.has('b'));
    api.put(named('c'));
    await until(() => watch.document.nodes.has('c'));
  });
});

test('a write that changes nothing that is shown is no change', async () => {
  await following([small], async (scene) => {
    const { api, until, watch } = scene;
    await until(() => isLive(scene));
    const before = watch.document;
    api.put({ ...small, metadata: { name: 'worker-1', labels: { a: 'b' } } });
    api.put(named('b'));
    await until(() => watch.document.nodes.has('b'));
    assert.equal(watch.document.nodes.get('worker-1'), before.nodes.get('worker-1'));
  });
});

test('a watch that the server ends goes on from the newest version, which bookmarks tell', async () => {
  await following([small], async (scene) => {
    const { api, clock, until, watch } = scene;
    await until(() => isLive(scene));
    api.bookmark();
    api.put(named('b'));
    api.bookmark();
    await until(() => watch.document.nodes.has('b'));
    clock.pass(230_000);
    api.endWatches();
    await until(() => api.requests.length === 3);
    assert.deepEqual(api.requests, ['LIST', 'WATCH 101', 'WATCH 104']);
    assert.ok(isLive(scene), 'that is nothing that people need to know');
    assert.deepEqual(clock.pauses, []);
  });
});

test('a version that is too old is one new list, and no trouble that people see', async () => {
  await following([small, named('b')], async (scene) => {
    const { api, clock, until, watch } = scene;
    const states = new Set<string>();
    watch.subscribe(() => states.add(watch.document.connection.state));
    await until(() => isLive(scene));
    clock.pass(230_000);
    api.compact();
    api.endWatches();
    api.remove('b');
    await until(() => watch.document.nodes.size === 1 && api.requests.length === 5);
    assert.deepEqual(api.requests, ['LIST', 'WATCH 102', 'WATCH 102', 'LIST', 'WATCH 104']);
    assert.equal(states.has('lost'), false);
    assert.deepEqual(clock.pauses, [500]);
  });
});

test('a server that comes back and knows no older versions is live after one new list', async () => {
  await following([small], async (scene) => {
    const { api, clock, until, watch } = scene;
    await until(() => isLive(scene));
    api.faults.watch.push('close', 'close', 'close');
    api.cutWatches();
    api.compact();
    const reasons: (string | undefined)[] = [];
    watch.subscribe(() => reasons.push(reasonOf(scene)));
    await until(() => isLive(scene) && api.requests.length === 8);
    assert.equal(api.requests.at(-2), 'LIST');
    assert.deepEqual([...new Set(reasons)], ['api-server-unreachable', undefined]);
    assert.equal(clock.pauses.at(-1), 500, 'the new list does not wait as long as the outage made it');
  });
});

test('a server to which every version is too old is asked with growing pauses, and people are told', async () => {
  await following([small], async (scene) => {
    const { api, clock, until } = scene;
    await until(() => isLive(scene));
    const old = {
      status: 410,
      text: JSON.stringify({ kind: 'Status', message: 'too old resource version', code: 410 }),
    };
    api.faults.watch.push(old, old, old, old);
    api.cutWatches();
    await until(() => reasonOf(scene) === 'api-server-busy');
    await until(() => isLive(scene));
    assert.deepEqual(clock.pauses.slice(0, 5), [500, 500, 1500, 3000, 6000]);
  });
});

test('a connection that is cut is opened again, and nobody needs to know', async () => {
  await following([small], async (scene) => {
    const { api, clock, until, watch } = scene;
    const states = new Set<string>();
    await until(() => isLive(scene));
    watch.subscribe(() => states.add(watch.document.connection.state));
    api.cutWatches();
    await until(() => api.watches === 1);
    api.put(named('b'));
    await until(() => watch.document.nodes.has('b'));
    assert.deepEqual(api.requests, ['LIST', 'WATCH 101', 'WATCH 101']);
    assert.deepEqual([...states], ['live']);
    assert.deepEqual(clock.pauses, [500]);
  });
});

test('so is a version that the watch tells later to be too old', async () => {
  await following([small], async (scene) => {
    const { api, until } = scene;
    await until(() => isLive(scene));
    const status = { kind: 'Status', code: 410, message: 'too old resource version', reason: 'Expired' };
    api.send(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
    await until(() => api.requests.length === 4);
    assert.deepEqual(api.requests, ['LIST', 'WATCH 101', 'LIST', 'WATCH 101']);
    assert.ok(isLive(scene));
  });
});

const STATUS_TEXT = JSON.stringify({ kind: 'Status', message: 'etcdserver: leader changed', code: 500 });

for (const [what, kind, fault, reason, remedy] of [
  ['a failure of the server', 'list', { status: 500, text: STATUS_TEXT }, 'api-server-busy', /lasts/],
  ['a conflict', 'list', { status: 409 }, 'api-server-busy', /lasts/],
  ['a server that is overloaded', 'watch', { status: 429 }, 'api-server-busy', /lasts/],
  ['no credentials', 'list', { status: 401 }, 'api-server-refused', /log in again/],
  ['no right', 'watch', { status: 403 }, 'api-server-refused', /deploy\/dashboard\/rbac\.yaml/],
  ['no definition', 'list', { status: 404, text: '404 page not found\n' }, 'api-resource-missing', /cluster-inventory/],
  ['a connection that is cut', 'list', 'close', 'api-server-unreachable', /kubectl get nodes/],
  ['a page of a proxy', 'list', { status: 200, text: '<html>log in</html>' }, 'api-server-answer', /proxy/],
  ['an answer that is no list', 'list', { status: 200, text: '{"items":{}}' }, 'api-server-answer', /proxy/],
  ['a watch of something else', 'watch', { status: 200, text: '<html>\n' }, 'api-server-answer', /proxy/],
  [
    'an event of no known type',
    'watch',
    { status: 200, text: '{"type":"NEW","object":{}}\n' },
    'api-server-answer',
    /proxy/,
  ],
  ['a watch that ends at once', 'watch', { status: 200, text: '' }, 'api-server-busy', /proxy/],
] as readonly (readonly [string, 'list' | 'watch', ReadFault, string, RegExp])[]) {
  test(`${what} (${kind}) is shown with its remedy, tried again, and gone when it goes well`, async () => {
    const states: string[] = [];
    await following(
      [small],
      async (scene) => {
        const { clock, until, watch } = scene;
        watch.subscribe(() => {
          const { problem, state } = watch.document.connection;
          states.push(state);
          if (problem === undefined) return;
          assert.equal(problem.reason, reason);
          assert.match(problem.remedy, remedy);
        });
        await until(() => isLive(scene) && watch.document.nodes.size === 1);
        assert.ok(states.includes('lost'), states.join());
        assert.equal(watch.document.connection.problem, undefined);
        assert.deepEqual(clock.pauses, [750]);
      },
      (api) => api.faults[kind].push(fault),
    );
  });
}

test('a server whose certificate has expired is not spoken to, and that is said', async () => {
  const pem = (name: string): string => readFileSync(join(import.meta.dirname, `fixtures/${name}.pem`), 'utf8');
  await following(
    [small],
    async (scene) => {
      await scene.until(() => scene.clock.pauses.length >= 2);
      const { problem } = scene.watch.document.connection;
      assert.equal(problem?.reason, 'api-server-untrusted');
      assert.match(problem?.message ?? '', /certificate has expired/);
      assert.match(problem?.remedy ?? '', /renew it/);
      assert.deepEqual(scene.api.requests, [], 'no token was sent');
    },
    undefined,
    { tls: { key: pem('expired-key'), cert: pem('expired-cert') } },
  );
});

for (const kind of ['list', 'watch'] as const) {
  test(`a server that does not answer a ${kind} is not waited for forever`, async () => {
    const reasons: (string | undefined)[] = [];
    await following(
      [small],
      async (scene) => {
        scene.watch.subscribe(() => reasons.push(scene.watch.document.connection.problem?.message));
        await scene.until(() => isLive(scene));
        assert.ok(
          reasons.some((message) => message?.includes('no answer for 0.05 s')),
          reasons.join(),
        );
      },
      (api) => api.faults[kind].push('silent'),
      { limits: { answerMs: 50 } },
    );
  });
}

test('a watch that falls silent, though bookmarks came, is opened anew', async () => {
  await following(
    [small],
    async (scene) => {
      const { api, until } = scene;
      await until(() => isLive(scene));
      api.bookmark();
      await until(() => api.requests.length >= 3);
      assert.deepEqual(api.requests.slice(0, 3), ['LIST', 'WATCH 101', 'WATCH 102']);
    },
    undefined,
    { limits: { silentMs: 50 } },
  );
});

test('a server that asks to be left alone is', async () => {
  await following(
    [small],
    async (scene) => {
      await scene.until(() => isLive(scene));
      assert.deepEqual(scene.clock.pauses, [7000]);
    },
    (api) => api.faults.list.push({ status: 429, headers: { 'retry-after': '7' } }),
  );
});

test('pauses grow to half a minute, and since when it is lost stays', async () => {
  await following([small], async (scene) => {
    const { api, clock, until, watch } = scene;
    await until(() => isLive(scene));
    api.may.list = false;
    api.may.watch = false;
    clock.pass(60_000);
    api.cutWatches();
    await until(() => clock.pauses.length >= 8);
    assert.deepEqual(clock.pauses.slice(0, 8), [500, 1500, 3000, 6000, 12_000, 22_500, 22_500, 22_500]);
    const { connection, nodes } = watch.document;
    assert.equal(connection.state, 'lost');
    assert.equal(connection.since, '2026-01-01T00:01:00.000Z');
    assert.equal(connection.seenAt, '2026-01-01T00:00:00.000Z');
    assert.equal(nodes.size, 1, 'what was seen stays');
    api.may.list = api.may.watch = true;
    await until(() => isLive(scene));
  });
});

test('whoever may list but not watch sees the nodes of one list, which is not asked for again', async () => {
  await following(
    [small],
    async (scene) => {
      const { api, until, watch } = scene;
      await until(() => api.requests.length >= 6);
      assert.equal(watch.document.nodes.size, 1);
      assert.equal(reasonOf(scene), 'api-server-refused');
      assert.deepEqual(new Set(api.requests.slice(1)), new Set(['WATCH 101']));
    },
    (api) => {
      api.may.watch = false;
    },
  );
});

test('the definition may come later', async () => {
  await following(
    [],
    async (scene) => {
      const { api, until, watch } = scene;
      await until(() => reasonOf(scene) === 'api-resource-missing');
      api.hasDefinition = true;
      await until(() => isLive(scene));
      assert.equal(watch.document.nodes.size, 0);
    },
    (api) => {
      api.hasDefinition = false;
    },
  );
});

test('a definition of another version is named, with the one that is needed', async () => {
  await following(
    [],
    async (scene) => {
      const { until, watch } = scene;
      await until(() => reasonOf(scene) === 'api-version-missing');
      const { problem } = watch.document.connection;
      assert.match(
        problem?.message ?? '',
        /^listing .*: the cluster defines .* as berth\.dev\/v1, and .* berth\.dev\/v1alpha1$/,
      );
      assert.match(problem?.remedy ?? '', /newer release: update this Berth/);
    },
    (api) => {
      api.hasDefinition = false;
      api.served = ['v1'];
    },
  );
});

test('credentials that were renewed in the file are used', async () => {
  await following([small], async (scene) => {
    const { api, kubeconfig, until } = scene;
    await until(() => isLive(scene));
    api.token = 'renewed';
    api.cutWatches();
    await until(() => reasonOf(scene) === 'api-server-refused');
    writeFileSync(kubeconfig, kubeconfigFor(api.url, 'renewed'));
    await until(() => isLive(scene));
  });
});

for (const [what, user, words] of [
  ['a file', { 'client-certificate': 'gone.pem', 'client-key': 'gone.pem' }, /ENOENT/],
  [
    'a program',
    { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'no-such-program' } },
    /no-such-program/,
  ],
] as const) {
  test(`credentials from ${what} that is not there are no fault of the server`, async () => {
    await following([small], async (scene) => {
      const { api, kubeconfig, until, watch } = scene;
      await until(() => isLive(scene));
      const config = JSON.parse(api.kubeconfig) as { users: { name: string; user: object }[] };
      config.users = [{ name: 'jane', user }];
      writeFileSync(kubeconfig, JSON.stringify(config));
      const asked = api.requests.length;
      api.cutWatches();
      await until(() => reasonOf(scene) === 'kubeconfig-unusable');
      assert.match(watch.document.connection.problem?.message ?? '', words);
      assert.equal(api.requests.length, asked);
    });
  });
}

test('a kubeconfig that becomes unusable is told, and waited for', async () => {
  await following([small], async (scene) => {
    const { api, kubeconfig, until, watch } = scene;
    await until(() => isLive(scene));
    writeFileSync(kubeconfig, 'clusters: [');
    api.cutWatches();
    await until(() => reasonOf(scene) === 'kubeconfig-unusable');
    assert.match(watch.document.connection.problem?.remedy ?? '', /--kubeconfig/);
    writeFileSync(kubeconfig, api.kubeconfig);
    await until(() => isLive(scene));
  });
});

test('objects that are no inventories are counted, or shown as damaged', async () => {
  await following([small, { metadata: { name: 'Not_A_Name' } }, { metadata: { name: 'empty' } }], async (scene) => {
    const { until, watch } = scene;
    await until(() => isLive(scene));
    assert.equal(watch.document.nameless, 1);
    assert.deepEqual([...watch.document.nodes.keys()], ['empty', 'worker-1']);
    assert.deepEqual(watch.document.nodes.get('empty')?.facts.damage, [
      'status is missing: no agent has written it yet',
    ]);
  });
});

for (const [what, text, context, message] of [
  ['a file that is not there', undefined, undefined, /ENOENT/],
  ['a file that is no kubeconfig', '[]', undefined, /cannot be used/],
  ['an empty file', '', undefined, /cannot be used/],
  [
    'a context that there is not',
    kubeconfigFor('http://127.0.0.1:9', 'x'),
    'prod',
    /no context "prod", but test, nowhere, open/,
  ],
  ['a server over plain HTTP', kubeconfigFor('http://127.0.0.1:9', 'x'), 'open', /plain HTTP/],
  ['a server that is no address', kubeconfigFor('not an address', 'x'), undefined, /"not an address" is no address/],
] as const) {
  test(`${what} is told before anything starts`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-kubeconfig-'));
    const kubeconfig = join(folder, 'config');
    if (text !== undefined) writeFileSync(kubeconfig, text);
    assert.throws(
      () => watchInventories({ kubeconfig, ...(context === undefined ? {} : { context }) }),
      (error: Error) => {
        assert.equal((error as { reason?: string }).reason, 'kubeconfig-unusable');
        assert.match(error.message, message);
        return true;
      },
    );
    rmSync(folder, { recursive: true });
  });
}

test('another context leads to another cluster', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-kubeconfig-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, kubeconfigFor('http://127.0.0.1:1', 'x'));
  assert.deepEqual(watchInventories({ kubeconfig, context: 'nowhere' }).document.identity, {
    context: 'nowhere',
    server: 'http://127.0.0.1:9',
  });
  rmSync(folder, { recursive: true });
});

test.run();
