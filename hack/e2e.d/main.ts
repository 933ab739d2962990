/** `hack/e2e`: its options, this machine's side, and the story. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { KubeClient } from './kube-client.ts';
import { readKubeConfig } from './kube-config.ts';
import * as node from './node.ts';
import { NETWORK } from './objects.ts';
import { Steps } from './steps.ts';
import { type NodeSide, tellStory } from './story.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
/** Made by the agent; removed afterwards unless they were there before. */
const STATE = ['/run/berth', '/var/lib/berth', '/var/cache/berth'];

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
if (values.kubeconfig === undefined || values.node === undefined) wrongUsage('--kubeconfig and --node are needed');
const timeoutMs = Number(values.timeout ?? '180') * 1000;
if (!(timeoutMs > 0)) wrongUsage('--timeout is a number of seconds');

const steps = new Steps((text) => void process.stdout.write(text));
try {
  if (process.geteuid?.() !== 0)
    throw new Error('this has to be root on the node: it loads an image and looks at records');
  const api = new KubeClient(readKubeConfig(resolve(values.kubeconfig ?? '')));
  const archive = await image();
  const version = /berth-(.+)-(?:x64|arm64)\.tar$/.exec(archive ?? '')?.[1] ?? packageVersion();
  await tellStory(steps, api, nodeSide(archive), {
    node: values.node ?? '',
    image: `berth.dev/berth:${version}`,
    keep: values.keep === true,
    timeoutMs,
  });
} catch (error) {
  process.stderr.write(`e2e: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
process.exitCode = steps.end() || process.exitCode || 0;

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

/** The archive, or `undefined` when the runtime has the image. */
async function image(): Promise<string | undefined> {
  if (values['image-loaded'] === true) return undefined;
  if (values.image !== undefined) return resolve(values.image);
  return await steps.run('the image is built', async () => {
    const output = execFileSync(resolve(CHECKOUT, 'hack/image'), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return output.split(' ')[0] ?? '';
  });
}

function packageVersion(): string {
  return execFileSync(resolve(CHECKOUT, 'bin/berth'), ['--version'], { encoding: 'utf8' }).trim();
}

function nodeSide(archive: string | undefined): NodeSide {
  if (!node.hasProgram('ip')) throw new Error('this needs `ip` (iproute2) on the node, for an uplink of its own');
  const folders = node.runtimeFolders();
  const address = values['containerd-address'] ?? folders.address;
  const cniBin = values['cni-bin-dir'] ?? folders.bin;
  const cniConf = values['cni-conf-dir'] ?? folders.conf;
  const fresh = STATE.filter((path) => !existsSync(path));
  return {
    bootId: node.bootId(),
    place: { cniBin, cniConf, kubelet: folders.kubelet, sharedMounts: node.hasSharedMounts() },
    loadImage: (runtime) => (archive === undefined ? 'somebody before' : node.loadImage(runtime, archive, address)),
    makeUplink: node.makeUplink,
    removeUplink: node.removeUplink,
    takeDefaultNetwork: (config) => node.takeDefaultNetwork(cniConf, config),
    reservations: () => node.reservations(NETWORK),
    askAgent: node.askAgent,
    fetch: async (path) => {
      const answer = await fetch(`http://127.0.0.1:9717${path}`);
      return { status: answer.status, body: await answer.text() };
    },
    uninstall: () => {
      node.leaveDefaultNetwork(cniConf);
      // Where the run ended before the agent began there may be nothing.
      if (existsSync(cniBin)) {
        execFileSync(resolve(CHECKOUT, 'bin/berth'), ['uninstall', '--cni-bin-dir', cniBin], { stdio: 'pipe' });
      }
      rmSync(`/var/lib/cni/networks/${NETWORK}`, { recursive: true, force: true });
      for (const path of fresh) rmSync(path, { recursive: true, force: true });
    },
  };
}
