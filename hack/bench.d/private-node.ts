/**
 * A node of the bench's own: network, mount and process namespaces of which the machine's own are
 * not part. The kernel takes all of it away with its first process, however that ends: links,
 * sandboxes, folders and whatever was started inside. So there is nothing to clean up, and nothing
 * that a killed run could leave.
 *
 * To debug: `hack/bench NAME` running, then `nsenter -t PID -a ip link` with the PID of its
 * `inside.ts`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { outputOf } from './outer-process.ts';

/** The node's uplink: one end of a veth pair. */
export const UPLINK = 'uplink0';
/** Its folder for the bench's own files; gone with the node. */
export const WORK_DIR = '/run/bench';

/** What its processes find empty and writable: where Berth, CNI plugins and kubelet keep their state. */
const PRIVATE_DIRS = ['/run', '/var/lib'];

/**
 * Runs a program as the first process of a private node, and resolves with its standard output when
 * all of it is gone. Rejects when it exits with anything but 0, or when `signal` ended it. It also
 * ends when the calling process does, even by SIGKILL.
 */
export async function runInPrivateNode(argv: readonly string[], signal: AbortSignal): Promise<string> {
  const unshare = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  // unshare shields itself from SIGTERM while its child runs, so nothing less than SIGKILL ends both.
  const args = ['--pdeathsig', 'KILL', '--', ...unshare, '--', ...argv];
  return await outputOf({ program: 'setpriv', args, what: "the benchmark's node", killSignal: 'SIGKILL' }, signal);
}

/**
 * Furnishes the private node from inside: empty state folders, its own /sys, loopback and the uplink.
 * `hasOwnSysfs` where the /sys that is mounted shows the node's links already.
 */
export function furnishNode({ hasOwnSysfs = false } = {}): void {
  // -n: mount would keep a list of its own in /run.
  for (const dir of PRIVATE_DIRS) execFileSync('mount', ['-n', '-t', 'tmpfs', '-o', 'mode=0755', 'bench', dir]);
  // A sysfs shows the links of the namespace in which it was mounted.
  if (!hasOwnSysfs) execFileSync('mount', ['-n', '-t', 'sysfs', 'sysfs', '/sys']);
  mkdirSync(WORK_DIR);
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', UPLINK, 'type', 'veth', 'peer', 'name', `${UPLINK}-peer`);
  ip('link', 'set', UPLINK, 'up');
  ip('link', 'set', `${UPLINK}-peer`, 'up');
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
