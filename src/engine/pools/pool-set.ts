/**
 * The pools of a running agent: told of every change of the inventory, the configuration and the
 * attachments, it evaluates once for a burst of them and tells subscribers which pools offer
 * something else now. It remembers how VFs stood, which a single evaluation cannot know. To debug:
 * `berth plan` shows `plan()`, and each change is logged at level debug.
 */
import { type Clock, systemClock } from '../clock.ts';
import type { Inventory } from '../inventory/model.ts';
import type { Logger } from '../logger.ts';
import { Damping } from './damping.ts';
import { evaluate } from './evaluate.ts';
import { type DeviceExplanation, explain } from './explain.ts';
import { type Holds, NO_HOLDS } from './holds.ts';
import { functionsOf } from './links.ts';
import type { Plan, PoolContext, PoolDevice, PoolFunction, PoolSpec, PoolState, PreviousOffer } from './model.ts';
import { type PreferredRequest, preferDevices } from './preferred.ts';
import { type DeviceTraits, DeviceUses, traitsOf } from './traits.ts';

/** Pools whose device list is another one now, and resources that are no pool any more. */
export interface PoolChange {
  readonly changed: readonly PoolState[];
  readonly removed: readonly string[];
}

/** What kubelet asks of one container. */
export type AllocationRequest = Pick<PreferredRequest, 'available' | 'mustInclude' | 'size'>;

export interface PoolSetUpdate {
  readonly inventory?: Inventory;
  readonly specs?: readonly PoolSpec[];
  readonly holds?: Holds;
}

export interface PoolSet {
  /** Takes news; they are evaluated together a moment later, or when somebody reads. */
  update(news: PoolSetUpdate): void;
  plan(): Plan;
  state(resource: string): PoolState | undefined;
  /** One device of a pool, by its id. */
  deviceOf(resource: string, id: string): PoolDevice | undefined;
  /** The function as the newest inventory has it, by its device id: PCI address, or name of a scalable one. */
  functionAt(id: string): PoolFunction | undefined;
  /** True while an attachment holds the function. */
  isHeld(id: string): boolean;
  /** Which of the available devices of the pool its policy prefers; never throws. */
  prefer(resource: string, request: AllocationRequest): readonly string[];
  /** The devices of the pool are being given to a container. */
  noteUse(ids: readonly string[]): void;
  explain(name: string): DeviceExplanation | undefined;
  /** Calls the listener after each evaluation that changed a list. Returns the function that ends it. */
  subscribe(listener: (change: PoolChange) => void): () => void;
  /** Drops pending work and timers. */
  stop(): void;
}

export interface PoolSetOptions {
  readonly specs: readonly PoolSpec[];
  readonly inventory: Inventory;
  readonly holds?: Holds;
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long news are gathered before an evaluation. */
  readonly coalesceMs?: number;
  /** How long a VF without netdev counts as on its way between the node and a pod. */
  readonly settleMs?: number;
}

type Offer = DeviceExplanation['offered'][number];

/** Evaluates at once; `plan()` is true from the start. */
export function createPoolSet(options: PoolSetOptions): PoolSet {
  return new LivePoolSet(options);
}

class LivePoolSet implements PoolSet {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #coalesceMs: number;
  readonly #settleMs: number;
  readonly #listeners = new Set<(change: PoolChange) => void>();
  readonly #previous = new Map<string, PreviousOffer>();
  /** Since when a VF's netdev is not where the attachments say. */
  readonly #astraySince = new Map<string, number>();
  readonly #damping: Damping;
  #specs: readonly PoolSpec[];
  #inventory: Inventory;
  #holds: Holds;
  #holdsChanged = true;
  #functions: ReadonlyMap<string, PoolFunction>;
  #plan: Plan = { pools: [], unused: [] };
  #states: ReadonlyMap<string, PoolState> = new Map();
  /** Devices by id of the states that somebody asked; a thousand devices are asked for one at a time. */
  readonly #byId = new WeakMap<PoolState, ReadonlyMap<string, PoolDevice>>();
  readonly #traits = new WeakMap<PoolState, ReadonlyMap<string, DeviceTraits>>();
  readonly #uses = new DeviceUses();
  #pending: NodeJS.Timeout | undefined;
  #settling: NodeJS.Timeout | undefined;
  #heldDown: NodeJS.Timeout | undefined;

  constructor(options: PoolSetOptions) {
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#coalesceMs = options.coalesceMs ?? 5;
    this.#settleMs = options.settleMs ?? 2000;
    this.#specs = options.specs;
    this.#inventory = options.inventory;
    this.#holds = options.holds ?? NO_HOLDS;
    this.#damping = new Damping(this.#clock);
    this.#functions = functionsOf(options.inventory);
    this.#evaluate();
  }

  update(news: PoolSetUpdate): void {
    if (news.inventory !== undefined && news.inventory !== this.#inventory) {
      this.#inventory = news.inventory;
      this.#functions = functionsOf(news.inventory);
    }
    this.#specs = news.specs ?? this.#specs;
    if (news.holds !== undefined) {
      this.#holds = news.holds;
      this.#holdsChanged = true;
    }
    this.#pending ??= setTimeout(() => this.#flush(), this.#coalesceMs);
  }

  plan(): Plan {
    this.#flush();
    return this.#plan;
  }

  state(resource: string): PoolState | undefined {
    this.#flush();
    return this.#states.get(resource);
  }

  deviceOf(resource: string, id: string): PoolDevice | undefined {
    const state = this.state(resource);
    if (state === undefined) return undefined;
    let devices = this.#byId.get(state);
    if (devices === undefined) {
      devices = new Map(state.devices.map((device) => [device.id, device]));
      this.#byId.set(state, devices);
    }
    return devices.get(id);
  }

  functionAt(id: string): PoolFunction | undefined {
    return this.#functions.get(id);
  }

  isHeld(id: string): boolean {
    return this.#holds.devices.has(id);
  }

  prefer(resource: string, request: AllocationRequest): readonly string[] {
    const state = this.state(resource);
    const traits = state === undefined ? undefined : this.#traitsOf(state);
    return preferDevices({
      ...request,
      policy: state?.spec.allocation ?? 'packed',
      traitsOf: (id) => traits?.get(id),
      lastUse: (id) => this.#uses.lastUse(id),
    });
  }

  noteUse(ids: readonly string[]): void {
    this.#uses.note(ids);
  }

  #traitsOf(state: PoolState): ReadonlyMap<string, DeviceTraits> {
    let traits = this.#traits.get(state);
    if (traits === undefined) {
      traits = traitsOf(state, (id) => this.#functions.get(id));
      this.#traits.set(state, traits);
    }
    return traits;
  }

  explain(name: string): DeviceExplanation | undefined {
    this.#flush();
    const explanation = explain(this.#specs, this.#context(), name);
    if (explanation === undefined) return undefined;
    return { ...explanation, offered: explanation.offered.map((offer) => this.#asOffered(explanation, offer)) };
  }

  /** Damping is no pool's decision, so `explain` does not know of it. */
  #asOffered({ device, ifname }: DeviceExplanation, offer: Offer): Offer {
    const now = this.#states
      .get(offer.resource)
      ?.devices.find((candidate) => candidate.id === device || (ifname !== undefined && candidate.uplink === ifname));
    if (now === undefined || now.healthy || now.reason === undefined) return offer;
    return { ...offer, healthy: false, reason: now.reason };
  }

  subscribe(listener: (change: PoolChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stop(): void {
    clearTimeout(this.#pending);
    clearTimeout(this.#settling);
    clearTimeout(this.#heldDown);
    this.#pending = undefined;
    this.#listeners.clear();
  }

  #flush(): void {
    if (this.#pending === undefined) return;
    clearTimeout(this.#pending);
    this.#pending = undefined;
    this.#evaluate();
  }

  #evaluate(): void {
    this.#watchSettling();
    if (this.#holdsChanged) this.#uses.note(this.#holds.devices.keys());
    this.#holdsChanged = false;
    const plan = evaluate(this.#specs, this.#context());
    const before = this.#states;
    this.#plan = { ...plan, pools: this.#damped(plan.pools) };
    this.#states = new Map(this.#plan.pools.map((state) => [state.spec.resource, state]));
    this.#remember();
    const changed = this.#plan.pools.filter((state) => !offersTheSame(before.get(state.spec.resource), state));
    const removed = [...before.keys()].filter((resource) => !this.#states.has(resource));
    if (changed.length === 0 && removed.length === 0) return;
    for (const { spec, devices } of changed) {
      const healthy = devices.filter((device) => device.healthy).length;
      this.#log.debug({ resource: spec.resource, devices: devices.length, healthy }, 'pool changed');
    }
    for (const listener of [...this.#listeners]) listener({ changed, removed });
  }

  /** Devices that flap are held back, and looked at again when one of them may be let go. */
  #damped(states: readonly PoolState[]): readonly PoolState[] {
    clearTimeout(this.#heldDown);
    const { nextMs, states: damped } = this.#damping.apply(states);
    if (nextMs !== undefined) {
      this.#heldDown = setTimeout(() => this.update({}), nextMs + 1);
      this.#heldDown.unref();
    }
    return damped;
  }

  #context(): PoolContext {
    return {
      inventory: this.#inventory,
      heldDevices: this.#holds.devices,
      uplinkUse: this.#holds.uplinks,
      previous: this.#previous,
      settling: new Set([...this.#astraySince.keys()].filter((id) => this.#settlesFor(id) > 0)),
    };
  }

  /** Milliseconds that the VF still counts as on its way. */
  #settlesFor(id: string): number {
    const since = this.#astraySince.get(id);
    return since === undefined ? 0 : since + this.#settleMs - this.#clock.now().getTime();
  }

  #watchSettling(): void {
    clearTimeout(this.#settling);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [id, { driver }] of this.#previous) {
      if (!this.#isAstray(id, driver)) {
        this.#astraySince.delete(id);
        continue;
      }
      if (!this.#astraySince.has(id)) this.#astraySince.set(id, this.#clock.now().getTime());
      const left = this.#settlesFor(id);
      if (left > 0) nextMs = Math.min(nextMs, left);
    }
    if (nextMs === Number.POSITIVE_INFINITY) return;
    this.#settling = setTimeout(() => this.update({}), nextMs + 1);
    this.#settling.unref();
  }

  /** Its netdev is away and nobody has it, or it is here though an attachment is complete. */
  #isAstray(id: string, driver: string): boolean {
    const pci = this.#functions.get(id)?.pci;
    if (pci === undefined || pci.driver !== driver) return false;
    const hold = this.#holds.devices.get(id);
    return pci.netdev === undefined ? hold === undefined : hold?.attachedTo !== undefined;
  }

  #remember(): void {
    const offered = new Set<string>();
    for (const { spec, devices } of this.#plan.pools) {
      if (spec.kind !== 'vf') continue;
      for (const device of devices) {
        offered.add(device.id);
        const { driver, netdev } = this.#functions.get(device.id)?.pci ?? {};
        const before = this.#previous.get(device.id);
        // While a pod holds it, and while it is unhealthy, the past is what it is compared with.
        const keeps = before !== undefined && (this.#holds.devices.has(device.id) || !device.healthy);
        if (driver === undefined || keeps) continue;
        const hadNetdev = netdev !== undefined || (before?.driver === driver && before.hadNetdev === true);
        this.#previous.set(device.id, { resource: spec.resource, driver, hadNetdev });
      }
    }
    for (const id of this.#previous.keys()) {
      if (offered.has(id)) continue;
      this.#previous.delete(id);
      this.#astraySince.delete(id);
    }
  }
}

/** The same for kubelet, that is: ids, health and the hint where they are. */
function offersTheSame(before: PoolState | undefined, now: PoolState): boolean {
  if (before === undefined || before.devices.length !== now.devices.length) return false;
  if (before.spec.excludeTopology !== now.spec.excludeTopology) return false;
  return now.devices.every((device, at) => isSameDevice(before.devices[at], device));
}

function isSameDevice(a: PoolDevice | undefined, b: PoolDevice): boolean {
  return a?.id === b.id && a.healthy === b.healthy && a.numaNode === b.numaNode && a.reason === b.reason;
}
