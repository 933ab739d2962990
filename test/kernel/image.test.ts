/**
 * The image under containerd, with the mounts, capabilities and seccomp profile of the DaemonSet: the
 * agent comes up against a kubelet, installs its shim, and a macvlan gets into a pod and out again. And
 * each right that the manifest asks for is shown to be needed by a container that lacks it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { temporaryFolder } from '../shim/built-shim.ts';
import {
  type Container,
  type Containerd,
  createContainerd,
  hasContainerd,
  type RunOptions,
} from '../standins/containerd.ts';
import { eventually } from '../standins/eventually.ts';
import { createKubelet, type StandInKubelet } from '../standins/kubelet/index.ts';
import { agentPod } from '../standins/manifests.ts';
import { createRuntime, type NetworkDefinition, type Pod, type Runtime } from '../standins/runtime/index.ts';
import { ip, leaveMachine } from './own-namespace.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 4, uplinks: [{ names: [up0] }] }\n';
const LIMIT_MS = 20_000;
/** Not below the test's folder, since they are the kernel's. */
const OF_THE_KERNEL = ['/proc/sys/net', '/run/netns'];

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

let containerd: Containerd;
let folder = '';
let kubelet: StandInKubelet;
let runtime: Runtime;
let running: Container | undefined;

const onNode = (path: string): string => (OF_THE_KERNEL.includes(path) ? path : join(folder, 'node', path));

function network(more: Readonly<Record<string, unknown>> = {}): NetworkDefinition {
  return {
    namespace: 'default',
    name: 'lan',
    config: {
      cniVersion: '1.0.0',
      name: 'lan',
      type: 'berth',
      link: 'macvlan',
      master: 'up0',
      ...more,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd00:88::/64' }]] },
    },
  };
}

interface Changes {
  readonly without?: readonly string[];
  readonly mounts?: (name: string) => boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts the DaemonSet's container, changed as told. */
function run({ without, mounts = () => true, environment = {} }: Changes = {}): Container {
  const { pod: spec, container } = agentPod();
  const options: RunOptions = {
    hostPath: onNode,
    // Kubelet dials the path that the plugin names: it has to be the same on both sides.
    mountPath: (path) => (path.startsWith('/var/lib/kubelet') ? onNode(path) : path),
    environment: { BERTH_KUBELET_DIR: onNode('/var/lib/kubelet'), BERTH_LOG_LEVEL: 'debug', ...environment },
    ...(without === undefined ? {} : { without }),
  };
  const volumeMounts = container.volumeMounts.filter(({ name }) => mounts(name));
  running = containerd.run(spec, { ...container, volumeMounts }, options);
  return running;
}

/** The same, when it is ready and has put its shim in place. */
async function start(changes: Changes = {}): Promise<Container> {
  const container = run(changes);
  await eventually(
    async () => {
      const answer = await fetch('http://127.0.0.1:9717/readyz');
      assert.equal(answer.status, 200, await answer.text());
      assert.ok(existsSync(onNode('/opt/cni/bin/berth')));
    },
    LIMIT_MS,
    () => `the agent to be ready\n${container.log().slice(-4000)}`,
  );
  return container;
}

const failureOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'it worked',
    (error: unknown) => String(error),
  );

const ready = isRoot() && hasLinkKind('macvlan') && hasContainerd();
if (requireFeature('root, macvlan, containerd and runc', ready)) {
  leaveMachine();

  test.before(async () => {
    const out = join(temporaryFolder(), 'image');
    const { status, stdout, stderr } = spawnSync(join(CHECKOUT, 'hack/image'), ['--out', out], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    containerd = await createContainerd();
    containerd.importImage(stdout.split(' ')[0] ?? '');
  });
  test.after(() => containerd.remove());

  test.before.each(async () => {
    folder = mkdtempSync('/tmp/berth-i-');
    mkdirSync(onNode('/config-maps/berth-config'), { recursive: true });
    writeFileSync(join(onNode('/config-maps/berth-config'), 'config.yaml'), CONFIG);
    kubelet = await createKubelet({ dir: onNode('/var/lib/kubelet') });
    runtime = createRuntime({
      shimPath: onNode('/opt/cni/bin/berth'),
      devicesOf: () => Promise.resolve(new Map()),
      inherited: {
        BERTH_CNI_SOCKET: onNode('/run/berth/cni.sock'),
        BERTH_SPOOL_FOLDER: onNode('/var/lib/berth/spool'),
      },
    });
  });
  test.after.each(async () => {
    await running?.end('SIGKILL');
    running = undefined;
    await runtime.close();
    await kubelet.stop();
    rmSync(folder, { recursive: true });
  });

  test('the agent registers, installs its shim, and gives a macvlan to a pod and takes it back', async () => {
    const agent = await start();
    await kubelet.until(() => kubelet.isRegistered('berth.dev/shared'), 'the pool to be registered', LIMIT_MS);
    assert.equal(kubelet.node().allocatable['berth.dev/shared'], 4);
    assert.equal(statSync(onNode('/opt/cni/bin/berth')).mode & 0o777, 0o755);

    const sandbox = await runtime.addPod(pod('app'), [{ network: network() }]);
    const name = sandbox.netns.split('/').at(-1) ?? '';
    assert.match(ip('-n', name, 'address', 'show', 'dev', 'net1'), /inet 10\.88\.0\.2\/24/);
    assert.equal(ndiscNotify(sandbox.netns), '1', 'a sysctl of the sandbox was written');
    assert.match(agent.exec('/usr/bin/berth', 'attachments'), /default\/app +net1 +macvlan/);
    assert.ok(existsSync(onNode('/var/lib/cni/networks/lan/10.88.0.2')));

    await runtime.deletePod(pod('app'));
    assert.equal(existsSync(onNode('/var/lib/cni/networks/lan/10.88.0.2')), false);
    assert.deepEqual(readdirSync(onNode('/run/berth/attachments')), []);
    const metrics = await (await fetch('http://127.0.0.1:9717/metrics')).text();
    assert.match(metrics, /^berth_/m);
  });

  test('an update of the DaemonSet leaves running pods alone, and their DEL works after it', async () => {
    const first = await start();
    const sandbox = await runtime.addPod(pod('app'), [{ network: network() }]);
    await first.end('SIGTERM');
    assert.match(ip('-n', sandbox.netns.split('/').at(-1) ?? '', 'address', 'show', 'dev', 'net1'), /10\.88\.0\.2/);
    await start();
    await runtime.checkPod(pod('app'));
    await runtime.deletePod(pod('app'));
    assert.deepEqual(readdirSync(onNode('/run/berth/attachments')), []);
  });

  test('berth uninstall in the container refuses while a pod is attached, and puts the peer back afterwards', async () => {
    mkdirSync(onNode('/opt/cni/bin'), { recursive: true });
    writeFileSync(onNode('/opt/cni/bin/macvlan'), 'peer', { mode: 0o755 });
    const agent = await start({ environment: { BERTH_INSTALL_AS: 'macvlan' } });
    assert.notEqual(readFileSync(onNode('/opt/cni/bin/macvlan'), 'latin1'), 'peer');
    await runtime.addPod(pod('app'), [{ network: network() }]);
    assert.match(
      await failureOf(Promise.resolve().then(() => agent.exec('/usr/bin/berth', 'uninstall'))),
      /attachments-live/,
    );
    await runtime.deletePod(pod('app'));
    agent.exec('/usr/bin/berth', 'uninstall');
    assert.equal(readFileSync(onNode('/opt/cni/bin/macvlan'), 'utf8'), 'peer');
  });

  for (const capability of ['NET_ADMIN', 'SYS_ADMIN']) {
    test(`without ${capability} the agent ends, and says what it was refused`, async () => {
      const container = run({ without: [capability] });
      await eventually(
        () => assert.equal(container.isRunning(), false),
        LIMIT_MS,
        () => `the agent to end\n${container.log().slice(-4000)}`,
      );
      assert.match(container.log(), /EPERM/);
    });
  }

  test('without NET_RAW an ADD that has to probe for duplicate addresses fails, and leaves nothing behind', async () => {
    await start({ without: ['NET_RAW'] });
    const probing = network({ duplicateAddressDetection: true });
    assert.match(await failureOf(runtime.addPod(pod('app'), [{ network: probing }])), /EPERM/);
    assert.deepEqual(readdirSync(onNode('/run/berth/attachments')), []);
  });

  test('without the mount of the network sysctls a sandbox keeps its own, and the kernel announces nothing', async () => {
    await start({ mounts: (name) => name !== 'net-sysctls', environment: { BERTH_PROC_ROOT: '/proc' } });
    const sandbox = await runtime.addPod(pod('app'), [{ network: network() }]);
    assert.equal(ndiscNotify(sandbox.netns), '0');
  });
}

function ndiscNotify(netns: string): string {
  const words = ['netns', 'exec', netns.split('/').at(-1) ?? '', 'cat', '/proc/sys/net/ipv6/conf/net1/ndisc_notify'];
  return spawnSync('ip', words, { encoding: 'utf8' }).stdout.trim();
}

test.run();
