/**
 * A place for real container runtimes: mount and pid namespaces of their own in the test's network
 * namespace, with empty /run, /opt and /var/lib, a copy of /etc, and a root file system of busybox,
 * since no image can be pulled. Everything in it ends with it. To look into one, print its `run`'s
 * output, or `nsenter --target <pid> --mount --pid`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const BUSYBOX = '/bin/busybox';
const APPLETS = ['sh', 'ip', 'sleep', 'cat', 'true'];

export interface ClientPlace {
  /** On the machine and in the place: files that both are to see. */
  readonly folder: string;
  /** A root file system for containers. */
  readonly rootfs: string;
  /** For `--cgroup` and the like; removed at the end. */
  readonly cgroup: string;
  /** Runs a program in the place and resolves with what it printed; rejects with its errors when it fails. */
  run(words: readonly string[], environment?: Readonly<Record<string, string>>): Promise<string>;
  /** Starts a program that runs until the place ends. */
  start(words: readonly string[]): Promise<void>;
  end(): Promise<void>;
}

/** `plugins` are CNI plugins by name, linked to programs, in `/opt/cni/bin`. */
export async function createClientPlace(plugins: Readonly<Record<string, string>>): Promise<ClientPlace> {
  const folder = mkdtempSync('/tmp/berth-c-');
  const rootfs = join(folder, 'rootfs');
  const cgroup = `/berth-test-${process.pid}-${folder.slice(-6)}`;
  mkdirSync(rootfs);
  const script = [
    'set -e',
    'mount --make-rprivate /',
    'mount -t tmpfs tmpfs /run',
    'mkdir -p /run/netns',
    'cp -a /etc /run/etc',
    'mount --bind /run/etc /etc',
    'mount -t tmpfs tmpfs /opt',
    'mount -t tmpfs tmpfs /var/lib',
    'mkdir -p /etc/cni/net.d /opt/cni/bin /run/home',
    'rm -rf /etc/cni/net.d/*',
    ...Object.entries(plugins).map(([name, program]) => `ln -s '${program}' '/opt/cni/bin/${name}'`),
    `mkdir -p '${rootfs}/bin' '${rootfs}/proc' '${rootfs}/sys' '${rootfs}/dev' '${rootfs}/etc' '${rootfs}/run'`,
    `cp '${BUSYBOX}' '${rootfs}/bin/busybox'`,
    ...APPLETS.map((name) => `ln -s busybox '${rootfs}/bin/${name}'`),
    'echo ready',
    'exec sleep infinity',
  ].join('\n');
  const words = ['--mount', '--pid', '--fork', '--mount-proc', '--kill-child', 'sh', '-c', script];
  const place = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'pipe'] });
  // unshare has words of its own when its child is killed, which is how every place ends.
  const said = text(place.stderr);
  const first = await Promise.race([once(place.stdout, 'data'), once(place, 'exit')]);
  if (String(first[0]).trim() !== 'ready') throw new Error(`the place for runtimes could not be made: ${await said}`);
  const init = readFileSync(`/proc/${place.pid}/task/${place.pid}/children`, 'utf8').trim();
  const enter = ['--target', init, '--mount', '--pid', '--'];
  const started = new Set<ChildProcess>();
  return {
    folder,
    rootfs,
    cgroup,
    run: async (program, environment = {}) => {
      const child = spawn('nsenter', [...enter, ...program], {
        env: { PATH: process.env.PATH ?? '', HOME: '/run/home', XDG_RUNTIME_DIR: '/run', ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
      if (code !== 0) throw new Error(`${program.join(' ')} ended with ${code}: ${err}${out}`);
      return out;
    },
    start: async (program) => {
      const child = spawn('nsenter', [...enter, ...program], { stdio: ['ignore', 'ignore', 'ignore'] });
      started.add(child);
      await once(child, 'spawn');
    },
    end: async () => {
      const ended = [place, ...started].map((child) =>
        child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined,
      );
      // The first process of a pid namespace takes all others with it.
      process.kill(Number(init), 'SIGKILL');
      await Promise.all(ended);
      removeCgroups(cgroup);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** In every hierarchy of cgroup v1, or the one of v2; deepest first, since only empty ones can go. */
function removeCgroups(cgroup: string): void {
  const root = '/sys/fs/cgroup';
  const candidates = [root, ...readdirSync(root).map((name) => join(root, name))].map((folder) => join(folder, cgroup));
  for (const candidate of candidates) removeTree(candidate);
}

function removeTree(folder: string): void {
  let entries: readonly { isDirectory(): boolean; name: string }[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return;
    throw error;
  }
  for (const entry of entries) if (entry.isDirectory()) removeTree(join(folder, entry.name));
  rmdirSync(folder);
}
