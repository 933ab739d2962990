/** `hack/e2e`: its options, this machine's side, and the story. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { KubeClient } from './kube-client.ts';
import { readKubeConfig } from './kube-config.ts';
import * as node from './node.ts';
import { NETWORK, REFUSED_NETWORK } from './objects.ts';
import type { Found } from './removal.ts';
import type { NodeSide } from './scene.ts';
import { Steps } from './steps.ts';
import { tellStory } from './story.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
/** Made by the agent or by kubelet for it; removed afterwards unless they were there before. */
const STATE = [
  ...['/run/berth', '/run/cni', '/run/k8s.cni.cncf.io', '/run/cdi'],
  ...['/var/lib/berth', '/var/cache/berth'],
];

/** Gone with a reboot, as everything that the test makes on the node. */
const MEMORY = '/run/berth-e2e.json';

const USAGE = `hack/e2e --kubeconfig FILE --node NAME [options]
  --kubeconfig FILE           who asks which API server (certificate or token)
  --node NAME                 the node that this machine is
  --image FILE                an image archive of hack/image, instead of building one
  --image-loaded              the runtime has the image already
  --containerd-address PATH   containerd's socket (from its process, or its default)
  --cni-bin-dir DIR           the runtime's plugin folder (from containerd's configuration, or /opt/cni/bin)
  --cni-conf-dir DIR          the runtime's network configurations (likewise, or /etc/cni/net.d)
  --timeout SECONDS           for each thing that is waited for (180)
  --keep                      leave everything as it is in the end
`;

const { values } = options();
if (values.help === true) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const { kubeconfig, node: nodeName } = values;
if (kubeconfig === undefined || nodeName === undefined) wrongUsage('--kubeconfig and --node are needed');
const timeoutSeconds = Number(values.timeout ?? '180');
if (!(timeoutSeconds > 0)) wrongUsage(`--timeout is a number of seconds, not ${JSON.stringify(values.timeout)}`);

const steps = new Steps((text) => void process.stdout.write(text), timeoutSeconds * 1000);
followSignals();
try {
  const api = new KubeClient(readKubeConfig(resolve(kubeconfig)));
  if (process.geteuid?.() !== 0) {
    throw new Error('this has to be root on the node: it loads an image and looks at records');
  }
  if (!node.hasProgram('ip')) throw new Error('this needs `ip` (iproute2) on the node, for an uplink of its own');
  const name = `berth.dev/berth:${imageVersion()}`;
  await tellStory(steps, api, nodeSide(name), { node: nodeName, image: name, keep: values.keep === true });
} catch (error) {
  // What a step said is told already.
  if (!steps.hasFailed) process.stderr.write(`e2e: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exitCode = steps.end() || process.exitCode || 0;

/** The first one ends the story and takes everything away; a second one leaves all as it is. */
function followSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!steps.isInterrupted && !steps.isCleaning) {
        steps.note(`${signal}: everything is taken away now; a second time leaves all as it is`);
        steps.interrupt(signal);
        return;
      }
      steps.note('left as it is; running the test again takes everything away');
      process.exit(130);
    });
  }
}

function options() {
  try {
    return parseArgs({
      options: {
        kubeconfig: { type: 'string' },
        node: { type: 'string' },
        image: { type: 'string' },
        'image-loaded': { type: 'boolean' },
        'containerd-address': { type: 'string' },
        'cni-bin-dir': { type: 'string' },
        'cni-conf-dir': { type: 'string' },
        timeout: { type: 'string' },
        keep: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    return wrongUsage(error instanceof Error ? error.message : String(error));
  }
}

function wrongUsage(what: string): never {
  process.stderr.write(`e2e: ${what}\n${USAGE}`);
  process.exit(2);
}

function imageVersion(): string {
  const given = /berth-(.+)-(?:x64|arm64)\.tar$/.exec(values.image ?? '')?.[1];
  if (given !== undefined) return given;
  const text = readFileSync(join(CHECKOUT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function buildImage(): string {
  const output = execFileSync(join(CHECKOUT, 'hack/image'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return output.split(' ')[0] ?? '';
}

function nodeSide(imageName: string): NodeSide {
  const folders = node.runtimeFolders();
  const address = values['containerd-address'] ?? folders.address;
  const cniBin = values['cni-bin-dir'] ?? folders.bin;
  const cniConf = values['cni-conf-dir'] ?? folders.conf;
  const without = (kept: readonly string[]) => STATE.filter((path) => !kept.includes(path));
  const addresses = `/var/lib/cni/networks/${NETWORK}`;
  return {
    bootId: node.bootId(),
    place: { cniBin, cniConf, kubelet: folders.kubelet, sharedMounts: node.hasSharedMounts() },
    answers: node.answers,
    loadImage: async (runtime) => {
      if (values['image-loaded'] === true) return { by: 'somebody before', remove: () => undefined };
      const archive = values.image === undefined ? buildImage() : resolve(values.image);
      return node.loadImage(runtime, archive, imageName, address);
    },
    makeUplink: node.makeUplink,
    removeUplink: node.removeUplink,
    takeDefaultNetwork: (config) => node.takeDefaultNetwork(cniConf, config),
    reservations: () => [...node.reservations(NETWORK), ...node.reservations(REFUSED_NETWORK)],
    askAgent: node.askAgent,
    fetch: async (path) => {
      const answer = await fetch(`http://127.0.0.1:9717${path}`, { signal: AbortSignal.timeout(10_000) });
      return { status: answer.status, body: await answer.text() };
    },
    killAgent: (podUid) => {
      const id = node.agentProcess(podUid);
      if (id === undefined) throw new Error('the process of its pod cannot be found in /proc');
      process.kill(id, 'SIGKILL');
    },
    spooled: node.spooled,
    folders: () => STATE.filter((path) => existsSync(path)),
    uninstall: (kept) => {
      node.leaveDefaultNetwork(cniConf);
      // Where the run ended before the agent began there may be nothing.
      if (existsSync(cniBin)) {
        execFileSync(resolve(CHECKOUT, 'bin/berth'), ['uninstall', '--cni-bin-dir', cniBin], { stdio: 'pipe' });
      }
      for (const name of [NETWORK, REFUSED_NETWORK]) {
        rmSync(`/var/lib/cni/networks/${name}`, { recursive: true, force: true });
      }
      for (const path of without(kept)) rmSync(path, { recursive: true, force: true });
    },
    left: (kept) => [
      ...node.strayLinks().map((name) => `link ${name}`),
      ...node.strayPrograms(cniBin).map((name) => join(cniBin, name)),
      ...[...without(kept), addresses, join(cniConf, node.OWN_NETWORK)].filter((path) => existsSync(path)),
    ],
    memory: {
      read: () => (existsSync(MEMORY) ? (JSON.parse(readFileSync(MEMORY, 'utf8')) as Found) : undefined),
      write: (found) => writeFileSync(MEMORY, JSON.stringify(found)),
      clear: () => rmSync(MEMORY, { force: true }),
    },
  };
}
