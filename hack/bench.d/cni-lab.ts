/**
 * `hack/bench cni --lab`: what needs the lab's devices. An ipvlan with host-local beside Debian's
 * plugin, and a VF with host-local beside two calls of iproute2 that move and name it (the limit)
 * and beside Debian's `host-device` (the peer, which applies no settings). As in cni.ts the sides
 * take turns in every round, in a random order. Each has a VF of its own on one PF, so that none
 * meets what another's driver still does.
 *
 * An agent sees every device that comes and goes, also when another program moves it, and reads it
 * again. A pause after each command keeps that out of the next one's time.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { untilServing, withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { type Measurement, medianAndTail, type Side } from './measurement.ts';
import { UPLINK } from './private-node.ts';
import { shuffled } from './shuffled.ts';
import type { Job, JobResult } from './spawner.ts';

const PF = 'eth0';
const IFNAME = 'net1';
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const IP = '/usr/sbin/ip';
/** The machine's own, where the VFs are at home. */
const HOME_NETNS = '/proc/1/ns/net';
/** Not counted: the first calls meet cold caches. */
const WARM_UP_ROUNDS = 3;
/**
 * Berth's own before them, without pauses: the agent's code is compiled as it is used. So many that
 * the median of the rounds meets an agent as old as that of cni.ts does.
 */
const AGENT_WARM_UP = 100;
/** After each command: re-reads for the inventory, and the kernel's own work for a link that moved. */
const REST_MS = 250;

/** What a side runs for one ADD and one DEL, one process after the other. */
interface Contender {
  add(sandbox: number): readonly Job[];
  del(sandbox: number, addResult: string): readonly Job[];
}

export async function benchCniLab(bench: Bench): Promise<Measurement[]> {
  execFileSync(IP, ['link', 'set', PF, 'up']);
  const measure = async (): Promise<Measurement[]> => [
    // What the machine measures too: the difference is what emulation does to a ratio.
    ...(await rows(bench, 'cni.macvlan', uplinkContenders(bench, 'macvlan', 'bridge'))),
    ...(await rows(bench, 'cni.ipvlan', uplinkContenders(bench, 'ipvlan', 'l2'))),
    ...(await rows(bench, 'cni.vf', vfContenders(bench))),
  ];
  if (!bench.sides.includes('berth')) return await measure();
  return await withAgent(bench, {}, async () => {
    await untilServing(bench);
    return await measure();
  });
}

async function rows(bench: Bench, name: string, contenders: Record<Side, Contender>): Promise<Measurement[]> {
  bench.say(`${name}: ${bench.runs} ADDs and DELs of each side, one at a time`);
  const none = (): Record<Side, number[]> => ({ berth: [], peer: [], limit: [] });
  const [added, deleted] = [none(), none()];
  if (bench.sides.includes('berth')) {
    for (let round = 0; round < AGENT_WARM_UP; round++) {
      const add = await inTurn(bench, 'berth', contenders.berth.add(0));
      await inTurn(bench, 'berth', contenders.berth.del(0, add.stdout));
    }
  }
  for (let round = -WARM_UP_ROUNDS; round < bench.runs; round++) {
    const sandbox = Math.max(round, 0) % bench.sandboxes.length;
    for (const side of shuffled(bench.sides)) {
      const add = await inTurn(bench, side, contenders[side].add(sandbox));
      await setTimeout(REST_MS);
      const del = await inTurn(bench, side, contenders[side].del(sandbox, add.stdout));
      await setTimeout(REST_MS);
      if (round < 0) continue;
      added[side].push(add.ms);
      deleted[side].push(del.ms);
    }
  }
  return [...medianAndTail(`${name}.add`, 'ms', added), ...medianAndTail(`${name}.del`, 'ms', deleted)];
}

/** Runs the processes one after the other; their times add up. */
async function inTurn(
  bench: Bench,
  side: Side,
  jobs: readonly Job[],
): Promise<{ readonly ms: number; readonly stdout: string }> {
  let ms = 0;
  let last: JobResult | undefined;
  for (const job of jobs) {
    const { elapsedUs, timedOut, jobs: results } = await bench.spawner.run([job]);
    last = results[0];
    if (timedOut || last?.exit !== 0 || last.present) {
      const how =
        last?.present === true ? 'answered before the link was gone' : `failed: ${last?.stdout}${last?.stderr}`;
      throw new BenchError(`${side}: ${job.argv.join(' ')} ${job.env?.CNI_COMMAND ?? ''} ${how}`);
    }
    ms += elapsedUs / 1000;
  }
  return { ms, stdout: last?.stdout ?? '' };
}

function uplinkContenders(bench: Bench, kind: 'macvlan' | 'ipvlan', mode: string): Record<Side, Contender> {
  const config = (net: string): object => ({ type: kind, master: UPLINK, mode, ipam: ipam(net) });
  return {
    berth: plugin(bench, bench.programs.shim, `lab-${kind}-berth`, config('10.94')),
    peer: plugin(bench, `${bench.programs.peer}/${kind}`, `lab-${kind}-peer`, config('10.95')),
    limit: {
      add: (sandbox) => {
        const facts = [UPLINK, sandboxPath(bench, sandbox), IFNAME, `10.96.0.${sandbox + 2}/16`, '10.96.0.1'] as const;
        return [{ argv: [bench.programs.kernelWork, 'add', kind, ...facts] }];
      },
      del: (sandbox) => [
        { argv: [bench.programs.kernelWork, 'del', sandboxPath(bench, sandbox), IFNAME], ...gone(bench, sandbox) },
      ],
    },
  };
}

function vfContenders(bench: Bench): Record<Side, Contender> {
  const [berth, peer, limit] = [vf(0), vf(1), vf(2)];
  return {
    berth: plugin(bench, bench.programs.shim, 'lab-vf-berth', {
      type: 'sriov',
      deviceID: berth.address,
      ipam: ipam('10.97'),
    }),
    peer: plugin(bench, `${bench.programs.peer}/host-device`, 'lab-vf-peer', {
      type: 'host-device',
      device: peer.ifname,
      ipam: ipam('10.98'),
    }),
    limit: {
      add: (sandbox) => [
        ip('link', 'set', limit.ifname, 'netns', String(sandbox)),
        ip('-n', String(sandbox), 'link', 'set', limit.ifname, 'name', IFNAME),
      ],
      del: (sandbox) => [
        ip('-n', String(sandbox), 'link', 'set', IFNAME, 'name', limit.ifname),
        { ...ip('-n', String(sandbox), 'link', 'set', limit.ifname, 'netns', HOME_NETNS), ...gone(bench, sandbox) },
      ],
    },
  };
}

/** A CNI plugin with one configuration, called as a runtime calls it. */
function plugin(bench: Bench, program: string, name: string, config: object): Contender {
  const job = (command: string, sandbox: number, addResult?: string): Job => ({
    argv: [program],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `bench-${sandbox}`,
      CNI_NETNS: sandboxPath(bench, sandbox),
      CNI_IFNAME: IFNAME,
      CNI_PATH: bench.programs.peer,
      PATH,
    },
    stdin: JSON.stringify({
      cniVersion: '1.0.0',
      name,
      ...config,
      ...(addResult === undefined ? {} : { prevResult: JSON.parse(addResult) }),
    }),
  });
  return {
    add: (sandbox) => [job('ADD', sandbox)],
    del: (sandbox, addResult) => [{ ...job('DEL', sandbox, addResult), ...gone(bench, sandbox) }],
  };
}

function ipam(net: string): object {
  return { type: 'host-local', ranges: [[{ subnet: `${net}.0.0/16` }]], routes: [{ dst: '0.0.0.0/0' }] };
}

function ip(...args: string[]): Job {
  return { argv: [IP, ...args], env: { PATH } };
}

function gone(bench: Bench, sandbox: number): Pick<Job, 'gone'> {
  return { gone: { netns: sandboxPath(bench, sandbox), ifname: IFNAME } };
}

function sandboxPath(bench: Bench, sandbox: number): string {
  const path = bench.sandboxes[sandbox];
  if (path === undefined) throw new RangeError(`there is no sandbox ${sandbox}`);
  return path;
}

/** The PF's VF with this index, and its network device's name. */
function vf(index: number): { readonly address: string; readonly ifname: string } {
  const uevent = readFileSync(`/sys/class/net/${PF}/device/virtfn${index}/uevent`, 'utf8');
  const address = /^PCI_SLOT_NAME=(.*)$/m.exec(uevent)?.[1];
  const [ifname] = readdirSync(`/sys/class/net/${PF}/device/virtfn${index}/net`);
  if (address === undefined || ifname === undefined) throw new BenchError(`${PF} has no VF ${index} with a netdev`);
  return { address, ifname };
}
