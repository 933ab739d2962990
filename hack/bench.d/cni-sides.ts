/**
 * The two CNI commands of a macvlan attachment as each side is asked for them. Berth's shim and the
 * reference plugin get the same environment and the same configuration, as a runtime writes it; the
 * limit gets the same facts as arguments.
 */
import type { Bench } from './bench.ts';
import type { Side } from './measurement.ts';
import { UPLINK } from './private-node.ts';
import type { Job } from './spawner.ts';

/** Name of the link in the sandbox, unless another is asked for. */
const IFNAME = 'net1';

/** Each side has a network of its own, so that none meets the others' reservations. */
const SUBNET: Record<Side, string> = { berth: '10.91', peer: '10.92', limit: '10.93' };

export type CniCommand = 'ADD' | 'DEL';

/** Where a link goes. */
export interface Place {
  /** Index of the sandbox; it is also the container's id. */
  readonly sandbox: number;
  readonly ifname?: string;
  /** False for a further link in the same sandbox, which has its default route already. */
  readonly defaultRoute?: boolean;
  /** What ADD printed, which runtimes pass to DEL. */
  readonly addResult?: string;
}

/** Makes the job for one command. */
export function cniJob(bench: Bench, side: Side, command: CniCommand, place: Place): Job {
  const { sandbox, ifname = IFNAME } = place;
  const netns = bench.sandboxes[sandbox];
  if (netns === undefined) throw new RangeError(`there is no sandbox ${sandbox}`);
  const gone = command === 'DEL' ? { gone: { netns, ifname } } : {};
  if (side === 'limit') {
    const facts =
      command === 'ADD'
        ? ['add', 'macvlan', UPLINK, netns, ifname, `${SUBNET.limit}.0.${sandbox + 2}/16`, `${SUBNET.limit}.0.1`]
        : ['del', netns, ifname];
    return { argv: [bench.programs.kernelWork, ...facts], ...gone };
  }
  return {
    argv: [side === 'berth' ? bench.programs.shim : `${bench.programs.peer}/macvlan`],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `bench-${sandbox}`,
      CNI_NETNS: netns,
      CNI_IFNAME: ifname,
      CNI_PATH: bench.programs.peer,
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    },
    stdin: JSON.stringify(networkConfig(side, place)),
    ...gone,
  };
}

function networkConfig(side: Side, { addResult, defaultRoute = true }: Place): object {
  return {
    cniVersion: '1.0.0',
    name: `bench-${side}`,
    type: 'macvlan',
    master: UPLINK,
    mode: 'bridge',
    ipam: {
      type: 'host-local',
      ranges: [[{ subnet: `${SUBNET[side]}.0.0/16` }]],
      routes: defaultRoute ? [{ dst: '0.0.0.0/0' }] : [],
    },
    ...(addResult === undefined ? {} : { prevResult: JSON.parse(addResult) }),
  };
}
