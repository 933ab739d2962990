/** A place with one IPAM program in memory: a pool of addresses by container, and whatever trouble a test wants. */

import type { DelegatedSpec } from '../../src/engine/ipam/model.ts';
import type { IpamCall, IpamOutcome, IpamPrograms } from '../../src/engine/ipam/port.ts';

export class MemoryIpam implements IpamPrograms {
  /** Address by `container/interface`. */
  readonly given = new Map<string, string>();
  /** Every call, as `ADD c1/net1`. */
  readonly calls: string[] = [];
  /** Asked before each call; what it answers is the outcome, what it throws is thrown. */
  trouble:
    | ((call: IpamCall) => Promise<Partial<IpamOutcome> | undefined> | Partial<IpamOutcome> | undefined)
    | undefined;

  async execute(call: IpamCall, signal: AbortSignal): Promise<IpamOutcome> {
    const { CNI_CONTAINERID: id = '', CNI_IFNAME: ifname = '' } = call.environment;
    const owner = `${id}/${ifname}`;
    this.calls.push(`${call.command} ${owner}`);
    const outcome = { end: { kind: 'exited', status: 0 }, path: '/opt/cni/bin/pool', stdout: '', stderr: '' } as const;
    const trouble = await this.trouble?.(call);
    if (signal.aborted) return { ...outcome, end: { kind: 'cancelled' } };
    if (trouble?.end?.kind === 'not-found') return { ...outcome, ...trouble };
    // What fails may well have reserved something before.
    if (call.command === 'ADD') {
      const address = this.given.get(owner) ?? `10.5.0.${this.given.size + 2}/24`;
      this.given.set(owner, address);
      const answer = { cniVersion: '1.0.0', ips: [{ address, gateway: '10.5.0.1' }], routes: [{ dst: '0.0.0.0/0' }] };
      return { ...outcome, stdout: JSON.stringify(answer), ...trouble };
    }
    if (trouble === undefined && call.command === 'DEL') this.given.delete(owner);
    return { ...outcome, ...trouble };
  }
}

export function pool(): DelegatedSpec {
  return { type: 'delegated', program: 'pool', stdin: '{"name":"net-a"}', cniPath: '/opt/cni/bin', cniArgs: 'K=V' };
}
