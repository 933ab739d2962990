/** This machine as a node: its container runtime's image store, its mounts, an uplink for the test, Berth's API. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

export const UPLINK = 'berth-e2e0';
const OTHER_END = 'berth-e2e1';
/** Sorts before the names that clusters give theirs. */
const OWN_NETWORK = '00-berth-e2e.conflist';

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Programs that load an image archive into the store that kubelet's runtime uses, in order of preference. */
function loaders(runtime: string, archive: string, address: string | undefined): readonly (readonly string[])[] {
  const at = address === undefined ? [] : ['--address', address];
  const forContainerd = [
    ['ctr', ...at, '--namespace', 'k8s.io', 'images', 'import', archive],
    ['/usr/local/bin/ctr', ...at, '--namespace', 'k8s.io', 'images', 'import', archive],
    ['k3s', 'ctr', '--namespace', 'k8s.io', 'images', 'import', archive],
    ['nerdctl', ...at, '--namespace', 'k8s.io', 'load', '--input', archive],
  ];
  const forCrio = [['podman', 'load', '--input', archive]];
  return runtime.startsWith('cri-o') ? forCrio : forContainerd;
}

/** Answers what loaded it. `runtime` is the node's `containerRuntimeVersion`. */
export function loadImage(runtime: string, archive: string, address: string | undefined): string {
  const tried: string[] = [];
  for (const [program = '', ...words] of loaders(runtime, archive, address)) {
    const { error, status, stderr } = spawnSync(program, words, { encoding: 'utf8' });
    if (status === 0) return program;
    tried.push(
      `${program}: ${error === undefined ? stderr.trim().slice(-300) : (error as NodeJS.ErrnoException).code}`,
    );
  }
  throw new Error(
    `nothing on this machine loads an image for ${runtime}:\n${tried.join('\n')}\n` +
      `Load ${archive} by hand, then run this with --image-loaded.`,
  );
}

/** True when containers can be told of mounts that come later; containerd refuses to start them otherwise. */
export function hasSharedMounts(): boolean {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
  const mounts = lines.map((line) => {
    const [, , , , point = '', , ...rest] = line.split(' ');
    return { point, isShared: rest.slice(0, rest.indexOf('-')).some((tag) => /^(shared|master):/.test(tag)) };
  });
  const holding = mounts
    .filter(({ point }) => point === '/' || '/run/netns'.startsWith(`${point}/`) || point === '/run/netns')
    .sort((a, b) => b.point.length - a.point.length)[0];
  return holding?.isShared ?? false;
}

/** The command line of the first process of that name, or nothing. */
function commandLine(name: string): readonly string[] {
  for (const process of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(process)) continue;
    try {
      if (readFileSync(`/proc/${process}/comm`, 'utf8').trim() !== name) continue;
      return readFileSync(`/proc/${process}/cmdline`, 'utf8').split('\0');
    } catch (error) {
      // It has ended meanwhile.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return [];
}

/** The value of an option, written `--name=value` or `--name value`. */
export function optionOf(words: readonly string[], ...names: readonly string[]): string | undefined {
  for (const [index, word] of words.entries()) {
    for (const name of names) {
      if (word === name) return words[index + 1];
      if (word.startsWith(`${name}=`)) return word.slice(name.length + 1);
    }
  }
  return undefined;
}

export interface RuntimeFolders {
  /** containerd's socket, when it is not told otherwise. */
  readonly address?: string;
  readonly bin: string;
  readonly conf: string;
  /** Kubelet's root folder. */
  readonly kubelet: string;
}

/** Where this node's containerd and kubelet have their things, as far as they say. */
export function runtimeFolders(): RuntimeFolders {
  const words = commandLine('containerd');
  const config = optionOf(words, '--config', '-c') ?? '/etc/containerd/config.toml';
  const text = existsSync(config) ? readFileSync(config, 'utf8') : '';
  const value = (key: string, section = ''): string | undefined =>
    new RegExp(`${section}^\\s*${key}\\s*=\\s*\\[?\\s*["']([^"']+)["']`, 'm').exec(text)?.[1];
  const address = optionOf(words, '--address', '-a') ?? value('address', '^\\[grpc\\][^\\[]*?');
  return {
    ...(address === undefined ? {} : { address }),
    bin: value('bin_dirs?') ?? '/opt/cni/bin',
    conf: value('conf_dir') ?? '/etc/cni/net.d',
    kubelet: optionOf(commandLine('kubelet'), '--root-dir') ?? '/var/lib/kubelet',
  };
}

export function hasProgram(name: string): boolean {
  return spawnSync(name, ['-V'], { stdio: 'ignore' }).error === undefined;
}

/** A veth pair of the test's own: the node's NICs are left alone. */
export function makeUplink(): void {
  removeUplink();
  execFileSync('ip', ['link', 'add', UPLINK, 'type', 'veth', 'peer', 'name', OTHER_END]);
  for (const name of [UPLINK, OTHER_END]) execFileSync('ip', ['link', 'set', name, 'up']);
}

export function removeUplink(): void {
  // Its absence is fine, and `ip` fails then.
  if (spawnSync('ip', ['link', 'show', UPLINK], { stdio: 'ignore' }).status === 0) {
    execFileSync('ip', ['link', 'delete', UPLINK]);
  }
}

/** Makes Berth the network that the runtime gives to new pods, until the answer is called. */
export function takeDefaultNetwork(folder: string, config: object): () => void {
  const path = join(folder, OWN_NETWORK);
  // containerd reads the folder when something in it changes: it has to be there whole.
  writeFileSync(`${path}.new`, `${JSON.stringify(config, undefined, 2)}\n`);
  execFileSync('mv', [`${path}.new`, path]);
  return () => leaveDefaultNetwork(folder);
}

/** Also after a run that was killed. */
export function leaveDefaultNetwork(folder: string): void {
  rmSync(join(folder, OWN_NETWORK), { force: true });
}

/** Reservations of host-local for a network of the test. */
export function reservations(network: string): readonly string[] {
  const folder = `/var/lib/cni/networks/${network}`;
  return existsSync(folder)
    ? readdirSync(folder).filter((name) => /^[0-9a-f.:_]+$/.test(name) && /[.:_]/.test(name))
    : [];
}

/** GETs a path of the agent's API over its socket. */
export function askAgent(path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: '/run/berth/api.sock', path, timeout: 10_000 }, (incoming) => {
      let body = '';
      incoming.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      incoming.on('end', () =>
        incoming.statusCode === 200 ? resolve(JSON.parse(body)) : reject(new Error(`${path}: ${body}`)),
      );
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${path}: the agent does not answer`)));
    outgoing.on('error', reject);
    outgoing.end();
  });
}
