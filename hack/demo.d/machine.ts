/** What the demo looks at and turns by hand, with the tools that a node admin has: ip, sysfs, ping. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/** Runs a program without a shell; throws with its stderr when it fails. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await exec(program, args, { maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

export function setVfCount(pf: string, count: number): void {
  writeFileSync(`/sys/class/net/${pf}/device/sriov_numvfs`, String(count));
}

interface IpLink {
  readonly ifname: string;
  readonly link_type: string;
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly vfinfo_list?: readonly unknown[];
}

/**
 * Names a PF's VFs after it, `eth0v0` ..., as udev does on a node: the kernel alone would give the
 * name of a VF that is in a pod to the next one that is made.
 */
export async function nameVfs(pf: string): Promise<string[]> {
  const folder = `/sys/class/net/${pf}/device`;
  const virtfns = readdirSync(folder).filter((name) => name.startsWith('virtfn'));
  const names = await eventually(() => {
    const found = virtfns.map((virtfn) => [virtfn, netdevOf(`${folder}/${virtfn}`)] as const);
    return found.every(([, name]) => name !== undefined) ? found : undefined;
  }, 20_000);
  const renamed = (names ?? []).map(([virtfn, name]) => ({ name: name ?? '', to: virtfn.replace('virtfn', `${pf}v`) }));
  for (const { name, to } of renamed) await run('ip', 'link', 'set', name, 'name', to);
  return renamed.map(({ to }) => to).sort();
}

function netdevOf(folder: string): string | undefined {
  return existsSync(`${folder}/net`) ? readdirSync(`${folder}/net`)[0] : undefined;
}

/**
 * Everything of this namespace's links that an attachment could have left changed: names, addresses,
 * MTU, whether they are up, and the PF-side settings of every VF, as iproute2 reports them.
 */
export async function linkState(): Promise<Record<string, unknown>> {
  const links = JSON.parse(await run('ip', '-details', '-json', 'link', 'show')) as readonly IpLink[];
  return Object.fromEntries(
    links.map(({ ifname, address, mtu, flags, ifalias, vfinfo_list }) => [
      ifname,
      { address, mtu, up: flags.includes('UP'), ifalias, vfs: vfinfo_list },
    ]),
  );
}

/** Polls until `probe` answers something, or gives up after `limitMs` with `undefined`. */
export async function eventually<T>(
  probe: () => Promise<T | undefined> | T | undefined,
  limitMs: number,
): Promise<T | undefined> {
  const until = performance.now() + limitMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined || performance.now() > until) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
