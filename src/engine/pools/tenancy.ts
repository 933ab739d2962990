/**
 * Pools that only some namespaces may use. Kubelet does not say for which pod it asks for a device,
 * so the limit holds where the pod is known: at ADD, for every way to the device, also for networks
 * that name an uplink without asking for a slot of it. To debug: `berth status` counts refusals,
 * `berth plan` shows the namespaces of each pool.
 */
import type { DevicePolicy, DeviceUse } from '../attachments/device-policy.ts';
import type { Clock } from '../clock.ts';
import { BerthError } from '../errors.ts';
import type { Plan, PoolSpec, PoolState } from './model.ts';

/** Attachments that a pool refused since the agent started. */
export interface Refusals {
  readonly count: number;
  /** `namespace/name` of the last pod, `unknown` when the runtime did not tell. */
  readonly lastPod: string;
  /** RFC 3339 */
  readonly lastAt: string;
}

export interface Tenancy extends DevicePolicy {
  /** By resource; only pools that refused something. */
  refusals(): ReadonlyMap<string, Refusals>;
}

/** Where the pools are looked up, at each attachment: a limit holds from the moment at which a pool has it. */
export interface TenancySources {
  specs(): readonly PoolSpec[];
  /** Asked only when some pool is limited, since it may have to be evaluated anew. */
  plan(): Plan;
  readonly clock: Clock;
}

export function createTenancy(sources: TenancySources): Tenancy {
  return new PoolTenancy(sources);
}

/** True when the pool may be used from the namespace. */
export function admitsNamespace({ namespaces }: PoolSpec, namespace: string | undefined): boolean {
  return namespaces === undefined || (namespace !== undefined && namespaces.includes(namespace));
}

class PoolTenancy implements Tenancy {
  readonly #sources: TenancySources;
  readonly #refusals = new Map<string, Refusals>();

  constructor(sources: TenancySources) {
    this.#sources = sources;
  }

  admit(use: DeviceUse): void {
    if (this.#sources.specs().every((spec) => admitsNamespace(spec, use.pod?.namespace))) return;
    for (const state of this.#sources.plan().pools) {
      const { spec } = state;
      if (admitsNamespace(spec, use.pod?.namespace) || !offers(state, use)) continue;
      this.#note(spec.resource, use);
      throw refusal(spec, use);
    }
  }

  refusals(): ReadonlyMap<string, Refusals> {
    return this.#refusals;
  }

  #note(resource: string, { pod }: DeviceUse): void {
    this.#refusals.set(resource, {
      count: (this.#refusals.get(resource)?.count ?? 0) + 1,
      lastPod: pod === undefined ? 'unknown' : `${pod.namespace}/${pod.name}`,
      lastAt: this.#sources.clock.now().toISOString(),
    });
  }
}

/** A VF by its address; an uplink by the slot, or without one by its name. */
function offers({ spec, devices }: PoolState, { device, kind, slot }: DeviceUse): boolean {
  // One uplink may serve macvlan from one pool and ipvlan from another.
  const isOfOtherKind = (kind === 'macvlan' || kind === 'ipvlan') && spec.kind !== kind;
  if (isOfOtherKind) return false;
  return devices.some((offered) =>
    offered.uplink === undefined ? offered.id === device : offered.id === slot || offered.uplink === device,
  );
}

function refusal({ resource, namespaces = [] }: PoolSpec, { device, pod, slot }: DeviceUse): BerthError {
  const allowed = namespaces.join(', ');
  const who = pod === undefined ? 'the runtime names no pod, and it' : `pod ${pod.namespace}/${pod.name}`;
  return new BerthError({
    code: 'Denied',
    reason: 'namespace-not-allowed',
    message: `${who} may not have ${slot ?? device} of ${resource}, which is for the namespaces ${allowed}`,
    remedy: `Use the network from one of these namespaces, or add ${pod?.namespace ?? "the pod's"} to \`namespaces\` of the pool.`,
  });
}
