/** This machine as a node: its container runtime's image store, its mounts, an uplink for the test, Berth's API. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';

export const UPLINK = 'berth-e2e0';
const OTHER_END = 'berth-e2e1';
/** Sorts before the names that clusters give theirs. */
export const OWN_NETWORK = '00-berth-e2e.conflist';

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** How an image gets into the store that kubelet's runtime uses. */
interface ImageStore {
  readonly program: string;
  readonly load: readonly string[];
  /** Lists the names of images. */
  readonly list: readonly string[];
  readonly remove: readonly string[];
}

function imageStores(runtime: string, archive: string, address: string | undefined): readonly ImageStore[] {
  if (runtime.startsWith('cri-o')) {
    const list = ['images', '--format', '{{.Repository}}:{{.Tag}}'];
    return [{ program: 'podman', load: ['load', '--input', archive], list, remove: ['rmi'] }];
  }
  const at = address === undefined ? [] : ['--address', address];
  const inContainerd = (program: string, ...before: readonly string[]): ImageStore => {
    const words = [...before, '--namespace', 'k8s.io', 'images'];
    return { program, load: [...words, 'import', archive], list: [...words, 'ls', '-q'], remove: [...words, 'rm'] };
  };
  // The one beside the daemon that runs is of its release; it need not be on the PATH.
  return [...besideContainerd(), 'ctr', '/usr/local/bin/ctr']
    .map((program) => inContainerd(program, ...at))
    .concat(inContainerd('k3s', 'ctr'));
}

function besideContainerd(): readonly string[] {
  const found = inProcesses((folder) =>
    readFileSync(`${folder}/comm`, 'utf8').trim() === 'containerd' ? readlinkSync(`${folder}/exe`) : undefined,
  );
  return found === undefined ? [] : [join(dirname(found), 'ctr')];
}

export interface LoadedImage {
  readonly by: string;
  /** Takes it out again, unless an image of that name had been there before. */
  remove(): void;
}

/** `runtime` is the node's `containerRuntimeVersion`. */
export function loadImage(runtime: string, archive: string, image: string, address: string | undefined): LoadedImage {
  const tried: string[] = [];
  for (const { program, load, list, remove } of imageStores(runtime, archive, address)) {
    const before = spawnSync(program, list, { encoding: 'utf8' });
    const wasThere = before.status === 0 && before.stdout.split('\n').includes(image);
    const { error, status, stderr } = spawnSync(program, load, { encoding: 'utf8' });
    if (status === 0) {
      return {
        by: program,
        remove: () => {
          if (!wasThere) execFileSync(program, [...remove, image], { stdio: 'pipe' });
        },
      };
    }
    tried.push(
      `${program}: ${error === undefined ? stderr.trim().slice(-300) : (error as NodeJS.ErrnoException).code}`,
    );
  }
  throw new Error(
    `nothing on this machine loads an image for ${runtime}:\n${tried.join('\n')}\n` +
      `Name the socket (--containerd-address), or load ${archive} by hand and run this with --image-loaded.`,
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

/** What the look finds in the first process for which it finds something. */
function inProcesses<T>(look: (folder: string, id: number) => T | undefined): T | undefined {
  for (const process of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(process)) continue;
    try {
      const found = look(`/proc/${process}`, Number(process));
      if (found !== undefined) return found;
    } catch (error) {
      // It has ended meanwhile.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return undefined;
}

/** The command line of the first process of that name, or nothing. */
function commandLine(name: string): readonly string[] {
  const found = inProcesses((folder) =>
    readFileSync(`${folder}/comm`, 'utf8').trim() === name
      ? readFileSync(`${folder}/cmdline`, 'utf8').split('\0')
      : undefined,
  );
  return found ?? [];
}

/** The agent's process in that pod, by the control group that kubelet makes for it. */
export function agentProcess(podUid: string): number | undefined {
  // systemd's groups have `_` where the others have `-`.
  const groups = [`pod${podUid}`, `pod${podUid.replaceAll('-', '_')}`];
  return inProcesses((folder, id) => {
    const group = readFileSync(`${folder}/cgroup`, 'utf8');
    if (!groups.some((name) => group.includes(name))) return undefined;
    return readFileSync(`${folder}/cmdline`, 'utf8').includes('/usr/bin/berth') ? id : undefined;
  });
}

/** Whether somebody takes connections there. */
export function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 3000 });
    const done = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.on('connect', () => done(true));
    socket.on('timeout', () => done(false));
    socket.on('error', () => done(false));
  });
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
  renameSync(`${path}.new`, path);
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

/** Links of the node's own namespace that Berth or this test made. */
export function strayLinks(): readonly string[] {
  const text = execFileSync('ip', ['-json', 'link', 'show'], { encoding: 'utf8' });
  const links = JSON.parse(text) as readonly { readonly ifname: string; readonly ifalias?: string }[];
  return links
    .filter(({ ifname, ifalias }) => ifalias?.startsWith('berth:') || ifname === UPLINK || ifname === OTHER_END)
    .map(({ ifname }) => ifname);
}

/** Programs and kept programs of Berth's in the runtime's folder. */
export function strayPrograms(folder: string): readonly string[] {
  return existsSync(folder)
    ? readdirSync(folder).filter((name) => name === 'berth' || name.endsWith('.before-berth'))
    : [];
}

/** Deletions that wait for the agent. */
export function spooled(): readonly string[] {
  const folder = '/var/lib/berth/spool';
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.')) : [];
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
