/**
 * The engine's `Kernel` port in memory, over a {@link World}. Every call, and every operation of an
 * `apply`, is a numbered step at which a test can throw, before or after the change, or hang for
 * ever, which is what a killed process looks like to the world.
 */

import { dirname } from 'node:path';
import type {
  Kernel,
  Link,
  LinkAddress,
  LinkOperation,
  Namespace,
  PciFunction,
  RdmaPort,
  Route,
  VfState,
} from '../../src/engine/attachments/port.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { IfName, MacAddress, PciAddress } from '../../src/engine/values.ts';
import { kernelError, World, type WorldLink, type WorldNamespace } from './fake-world.ts';

export interface Step {
  /** From 1, counted since {@link FakeKernel.intercept} was last called. */
  readonly number: number;
  readonly what: string;
  readonly when: 'before' | 'after';
}

export class FakeKernel implements Kernel {
  readonly world: World;
  readonly host: FakeNamespace;
  /** Namespaces that were opened and not closed; 0 between operations. */
  openHandles = 0;
  #interceptor: ((step: Step) => Promise<void> | void) | undefined;
  #steps = 0;
  readonly #descriptors = new Map<number, WorldNamespace>();

  constructor(world = new World()) {
    this.world = world;
    this.host = new FakeNamespace(this, world.host);
  }

  /** Sees each step before and after it; what it throws is the step's error. */
  intercept(interceptor: ((step: Step) => Promise<void> | void) | undefined): void {
    this.#interceptor = interceptor;
    this.#steps = 0;
  }

  async step<T>(what: string, work: () => T): Promise<T> {
    this.#steps += 1;
    const number = this.#steps;
    await this.#interceptor?.({ number, what, when: 'before' });
    const result = work();
    await this.#interceptor?.({ number, what, when: 'after' });
    return result;
  }

  /** Opens a sandbox as a front end does before the operation: not a step of the engine's. */
  openUnwatched(path: string): FakeNamespace | undefined {
    const namespace = this.world.paths.get(path);
    return namespace === undefined ? undefined : new FakeNamespace(this, namespace);
  }

  /** What the shim's descriptor would be. */
  descriptorOf(path: string): number {
    const namespace = this.world.paths.get(path);
    if (namespace === undefined) throw new Error(`no sandbox at ${path}`);
    const fd = 100 + this.#descriptors.size;
    this.#descriptors.set(fd, namespace);
    return fd;
  }

  async adopt(fd: number): Promise<Namespace> {
    return this.step('adopt', () => {
      const namespace = this.#descriptors.get(fd);
      if (namespace !== undefined) return new FakeNamespace(this, namespace);
      throw new BerthError({
        code: 'Invalid',
        reason: 'not-a-namespace',
        message: `descriptor ${fd} is no network namespace`,
      });
    });
  }

  async open(path: string): Promise<Namespace | undefined> {
    return this.step('open', () => {
      const namespace = this.world.paths.get(path);
      return namespace === undefined ? undefined : new FakeNamespace(this, namespace);
    });
  }

  async nsid(of: Namespace): Promise<number> {
    return this.step('nsid', () => {
      const namespace = [...this.world.paths.values()].find((each) => each.cookie === of.id.cookie);
      if (namespace === undefined) throw kernelError('nsid.get', 'EINVAL');
      return this.world.assignNsid(namespace);
    });
  }

  async isNamespaceAlive(nsid: number): Promise<boolean> {
    return this.step('isNamespaceAlive', () =>
      [...this.world.paths.values(), ...this.hidden].some((namespace) => namespace.nsid === nsid),
    );
  }

  async cookieOf(nsid: number, beside: string): Promise<string | undefined> {
    return this.step('cookieOf', () => {
      const near = [...this.world.paths].find(
        ([path, each]) => dirname(path) === dirname(beside) && each.nsid === nsid,
      );
      return near?.[1].cookie;
    });
  }

  /** Namespaces that live without a path (their mount is not ours to see). */
  readonly hidden: WorldNamespace[] = [];

  /** The path vanishes; the namespace lives. Answers it, to be ended by {@link end}. */
  hide(path: string): WorldNamespace {
    const namespace = this.world.paths.get(path);
    if (namespace === undefined) throw new Error(`no sandbox at ${path}`);
    this.world.paths.delete(path);
    this.hidden.push(namespace);
    return namespace;
  }

  /** Ends a namespace that was hidden. */
  end(namespace: WorldNamespace): void {
    this.hidden.splice(this.hidden.indexOf(namespace), 1);
    this.world.destroy(namespace);
  }

  /** Interfaces by the path of their device; see {@link World.devicePaths}. */
  async netdevsAt(path: string): Promise<readonly IfName[]> {
    return this.step('netdevsAt', () => {
      const link = this.world.devicePaths.get(path);
      return link !== undefined && this.world.host.links.get(link.index) === link ? [link.name] : [];
    });
  }

  readonly rdma: RdmaPort = {
    mode: () => this.step('rdma.mode', () => this.world.rdmaMode),
    has: (at, name) => this.step('rdma.has', () => this.world.rdma.get(name)?.at.cookie === at.id.cookie),
    move: (name, from, to) =>
      this.step('rdma.move', () => {
        const device = this.world.rdma.get(name);
        if (device?.at.cookie !== from.id.cookie || !(to instanceof FakeNamespace))
          throw kernelError('rdma.move', 'ENODEV');
        device.at = to.state;
      }),
  };

  async rebind(address: PciAddress, driver: string): Promise<void> {
    await this.step('rebind', () => this.world.rebind(address, driver));
  }

  #rdmaOf(address: PciAddress): { readonly rdma?: readonly string[] } {
    const names = [...this.world.rdma].filter(([, { pci, at }]) => pci === address && at === this.world.host);
    return names.length === 0 ? {} : { rdma: names.map(([name]) => name) };
  }

  async tapOwner(index: number): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
    return this.step('tapOwner', () => {
      const link = this.world.tapLink(index);
      if (link === undefined) return undefined;
      const [uid = 0, gid = 0] = (link.tapOwner ?? '0:0').split(':').map(Number);
      return { uid, gid };
    });
  }

  async ownTap(index: number, owner: { readonly uid: number; readonly gid: number }): Promise<void> {
    await this.step('ownTap', () => {
      const link = this.world.tapLink(index);
      if (link === undefined) throw kernelError('tap.own', 'ENOENT');
      link.tapOwner = `${owner.uid}:${owner.gid}`;
    });
  }

  async incarnation(address: PciAddress): Promise<string | undefined> {
    return this.step('incarnation', () => this.#functionOf(address)?.incarnation);
  }

  async pciFunction(address: PciAddress): Promise<PciFunction | undefined> {
    return this.step('pciFunction', () => this.#functionOf(address));
  }

  #functionOf(address: PciAddress): PciFunction | undefined {
    const vf = this.world.vfs.get(address);
    if (vf === undefined) {
      const pf = [...this.world.host.links.values()].find((link) => link.pci === address);
      const away = [...this.world.paths.values()].flatMap((each) => [...each.links.values()]);
      const known = pf ?? away.find((link) => link.pci === address);
      if (known === undefined) return undefined;
      return { address, driver: 'igb', ...(pf === undefined ? {} : { ifname: pf.name }), incarnation: address };
    }
    const home =
      vf.link !== undefined && this.world.host.links.get(vf.link.index) === vf.link ? vf.link.name : undefined;
    const pfHome = this.world.host.links.get(vf.pf.index) === vf.pf;
    return {
      address,
      driver: vf.driver,
      ...(home === undefined ? {} : { ifname: home }),
      ...this.#rdmaOf(address),
      pf: { address: vf.pfAddress, ...(pfHome ? { ifname: vf.pf.name } : {}) },
      vfIndex: vf.index,
      incarnation: vf.incarnation,
    };
  }
}

export class FakeNamespace implements Namespace {
  readonly #kernel: FakeKernel;
  readonly #state: WorldNamespace;
  #closed = false;

  constructor(kernel: FakeKernel, state: WorldNamespace) {
    this.#kernel = kernel;
    this.#state = state;
    if (!this.isHost) kernel.openHandles += 1;
  }

  get id(): { readonly cookie: string } {
    return { cookie: this.#state.cookie };
  }

  get isHost(): boolean {
    return this.#state === this.#kernel.world.host;
  }

  get state(): WorldNamespace {
    return this.#state;
  }

  async link(ref: { readonly name: string } | { readonly index: number }): Promise<Link | undefined> {
    return this.#step('link', () => {
      const found = 'name' in ref ? this.#kernel.world.byName(this.#state, ref.name) : this.#state.links.get(ref.index);
      return found === undefined ? undefined : copy(found);
    });
  }

  async links(kind?: string): Promise<readonly Link[]> {
    const isMeant = (link: Link): boolean => kind === undefined || link.kind === kind;
    return this.#step('links', () => [...this.#state.links.values()].map(copy).filter(isMeant));
  }

  async vfSettings(pfIndex: number, vf: number): Promise<VfState | undefined> {
    return this.#step('vfSettings', () => {
      const found = [...this.#kernel.world.vfs.values()].find((each) => each.pf.index === pfIndex && each.index === vf);
      return found?.settings === undefined ? undefined : { ...found.settings };
    });
  }

  async addresses(index: number): Promise<readonly LinkAddress[]> {
    return this.#step('addresses', () => [...(this.#state.links.get(index)?.addresses ?? [])]);
  }

  async routes(index: number): Promise<readonly Route[]> {
    return this.#step('routes', () => [...(this.#state.links.get(index)?.routes ?? [])]);
  }

  async apply(operations: readonly LinkOperation[]): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const operation of operations) {
      const other =
        operation.op === 'link.create' ? operation.into : operation.op === 'link.set' ? operation.moveTo : undefined;
      const target = other instanceof FakeNamespace ? other.state : undefined;
      try {
        await this.#step(operation.op, () => this.#kernel.world.perform(this.#state, operation, target));
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  async applyAndFind(operations: readonly LinkOperation[], name: IfName, at: Namespace): Promise<Link | undefined> {
    await this.apply(operations);
    return await at.link({ name });
  }

  async writeSysctl(path: readonly string[], value: string): Promise<void> {
    await this.#step('writeSysctl', () => {
      if (this.#kernel.world.sysctl(this.#state, path) === undefined) throw kernelError('sysctl.write', 'EOPNOTSUPP');
      this.#state.sysctls.set(path.join('/'), value);
    });
  }

  async readSysctl(path: readonly string[]): Promise<string | undefined> {
    return this.#step('readSysctl', () => this.#kernel.world.sysctl(this.#state, path));
  }

  async announce(_index: number, mac: MacAddress, addresses: readonly string[]): Promise<void> {
    await this.#step('announce', () => {
      this.#state.announced.push(...addresses.map((address) => `${mac} ${address}`));
    });
  }

  async probe(
    index: number,
    addresses: readonly string[],
  ): Promise<{ readonly address: string; readonly mac: MacAddress } | undefined> {
    return this.#step('probe', () => {
      this.#kernel.world.probed.push(`${this.isHost ? 'node' : 'sandbox'} ${this.#state.links.get(index)?.name}`);
      const address = addresses.find((each) => this.#kernel.world.neighbours.has(each));
      return address === undefined ? undefined : { address, mac: '02:00:00:00:ee:01' as MacAddress };
    });
  }

  close(): void {
    if (this.isHost || this.#closed) return;
    this.#closed = true;
    this.#kernel.openHandles -= 1;
  }

  async #step<T>(what: string, work: () => T): Promise<T> {
    return this.#kernel.step(what, () => {
      if (this.#closed)
        throw new BerthError({
          code: 'Internal',
          reason: 'namespace-closed',
          message: `${what} on a closed namespace`,
        });
      if (!this.#state.alive) throw kernelError(what, 'ENODEV');
      return work();
    });
  }
}

/** What the port shows of a link, detached from the world. */
function copy(link: WorldLink): Link {
  const {
    parent: _parent,
    master: _master,
    arpNotify: _arpNotify,
    addresses: _addresses,
    routes: _routes,
    tapOwner: _tapOwner,
    ...shown
  } = link;
  return { ...shown, altnames: [...link.altnames] };
}
