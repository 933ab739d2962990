/**
 * The inventory of the node as it is now. Kernel notifications are collected for a moment, then
 * what they name is read again; a slow full scan finds what was never announced. Re-reads are
 * serial, so listeners see one history. A reader that fails changes nothing: the inventory of
 * before stays, the problem is shown, and reading is tried again.
 *
 * To debug, compare `readAt` and `problem` with the log of the change source: a device that is not
 * seen until the next scan had no notification.
 */
import { type Clock, systemClock } from '../clock.ts';
import { type Logger, silentLogger } from '../logger.ts';
import type { PciAddress } from '../values.ts';
import { diffInventories, type InventoryDiff, isEmptyDiff } from './diff.ts';
import type { Inventory, Nic } from './model.ts';
import type { ChangeHint, ChangeSource, NodeReader } from './port.ts';
import { Recoveries } from './recoveries.ts';
import { shareInventory } from './share.ts';
import { withVfSettings } from './vf-settings.ts';

/** What is watched, and how eagerly. */
export interface LiveInventoryOptions {
  readonly reader: NodeReader;
  /** Without one only scans see changes (a captured tree). */
  readonly changes?: ChangeSource;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** How long hints are collected before they are read: the latency that bursts are paid with. */
  readonly windowMs?: number;
  /** Between full scans; up to a tenth is added or taken, so that nodes do not scan together. */
  readonly scanIntervalMs?: number;
  readonly onNamespaceGone?: (nsid: number) => void;
  /** Notifications were lost, those of namespaces among them; and at each slow scan, in case nobody said so. */
  readonly onMissed?: () => void;
  /**
   * Whether the device is just being given to a pod or taken back. What the kernel says of it meanwhile is
   * read when that is over, instead of several times on the way.
   */
  readonly isMoving?: (device: PciAddress) => boolean;
}

/** Called synchronously; what it throws is logged. */
export type InventoryListener = (diff: InventoryDiff, inventory: Inventory) => void;

const RETRY_MS = { first: 500, last: 60_000 } as const;
/** A move takes some 100 ms; nothing is kept from the inventory for longer than this. */
const MOST_HELD_MS = 1000;
/** Least time between two readings of one PF's VF settings. */
const SETTINGS_PAUSE_MS = 1000;

/**
 * Listens first, then reads everything, so that nothing falls in between. Throws when that first
 * read fails; nothing listens then.
 */
export async function createLiveInventory(options: LiveInventoryOptions): Promise<LiveInventory> {
  const early: ChangeHint[] = [];
  let take = (hint: ChangeHint): void => {
    early.push(hint);
  };
  const stopChanges = await options.changes?.start(
    (hint) => take(hint),
    (nsid) => options.onNamespaceGone?.(nsid),
  );
  options.reader.onLate?.((hint) => take(hint));
  const stop = stopChanges ?? (async () => undefined);
  try {
    const live = new LiveInventory(options, await options.reader.read(), stop);
    take = (hint) => live.hint(hint);
    for (const hint of early) live.hint(hint);
    return live;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A running watch; made by {@link createLiveInventory}. */
export class LiveInventory {
  readonly #reader: NodeReader;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #windowMs: number;
  readonly #scanIntervalMs: number;
  readonly #listeners = new Set<InventoryListener>();
  readonly #stopped = new AbortController();
  /** PFs whose settings are being read; true when they must be read once more. */
  readonly #settingsWanted = new Map<PciAddress, boolean>();
  readonly #recoveries = new Recoveries();
  #pending = new Map<string, ChangeHint>();
  readonly #isMoving: (device: PciAddress) => boolean;
  readonly #onMissed: () => void;
  /** Devices whose hints wait, and since when (milliseconds since the epoch). */
  readonly #heldSince = new Map<PciAddress, number>();
  /** Hints that came while a full scan ran: they are read once more on top of its result. */
  #duringScan: ChangeHint[] | undefined;
  #turn: Promise<void> = Promise.resolve();
  #scanning: Promise<void> | undefined;
  #nextScan: Promise<void> | undefined;
  #isPumping = false;
  readonly #background = new Set<Promise<void>>();
  readonly #stopChanges: () => Promise<void>;
  #failures = 0;
  #current: Inventory;
  #readAt: Date;
  #problem: string | undefined;

  /** Use {@link createLiveInventory}. */
  constructor(options: LiveInventoryOptions, first: Inventory, stopChanges: () => Promise<void>) {
    this.#reader = options.reader;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#windowMs = options.windowMs ?? 20;
    this.#scanIntervalMs = options.scanIntervalMs ?? 300_000;
    this.#isMoving = options.isMoving ?? (() => false);
    this.#onMissed = options.onMissed ?? (() => undefined);
    this.#stopChanges = stopChanges;
    this.#current = first;
    this.#readAt = this.#clock.now();
    this.#inBackground(this.#scanForever());
  }

  get current(): Inventory {
    return this.#current;
  }

  /** When the node was last read, wholly or in part. */
  get readAt(): Date {
    return this.#readAt;
  }

  /** Why the inventory may be old; `undefined` when the last read succeeded. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Told of every change, in order, after `current` has it. Returns a function that ends it. */
  subscribe(listener: InventoryListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Reads everything now; resolves when `current` has it. Throws when it cannot be read. */
  async refresh(): Promise<void> {
    await this.#scan();
  }

  /** Says that something may have changed; what the change source does, and whoever knows better. */
  hint(hint: ChangeHint): void {
    if (this.#stopped.signal.aborted) return;
    this.#recoveries.note(hint);
    this.#pending.set(keyOf(hint), hint);
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#inBackground(this.#pump());
  }

  /** Ends watching and waits for what is under way. `current` stays readable. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#listeners.clear();
    await this.#stopChanges();
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #pump(): Promise<void> {
    while (this.#pending.size > 0 && !this.#stopped.signal.aborted) {
      await this.#clock.delay(this.#windowMs, this.#stopped.signal);
      if (this.#stopped.signal.aborted) break;
      const hints = this.#takeReady();
      const [all, named] = [hints.filter((hint) => hint.kind === 'all'), hints.filter((hint) => hint.kind !== 'all')];
      if (named.length > 0) await this.#reread(named);
      const [first] = all;
      if (first !== undefined) this.#inBackground(this.#scanAgain(first));
    }
    this.#isPumping = false;
  }

  /** Hints about a device that is being moved stay for the next turn. */
  #takeReady(): readonly ChangeHint[] {
    const nowMs = this.#clock.now().getTime();
    const held = [...this.#pending].filter(([, hint]) => this.#mustWait(hint, nowMs));
    const ready = [...this.#pending.values()].filter((hint) => !held.some(([, each]) => each === hint));
    this.#pending = new Map(held);
    return ready;
  }

  #mustWait(hint: ChangeHint, nowMs: number): boolean {
    const device = hint.kind === 'pci' ? hint.address : hint.kind === 'link' ? hint.device : undefined;
    if (device === undefined) return false;
    const since = this.#heldSince.get(device) ?? nowMs;
    if (this.#isMoving(device) && nowMs - since < MOST_HELD_MS) {
      this.#heldSince.set(device, since);
      return true;
    }
    this.#heldSince.delete(device);
    return false;
  }

  async #reread(hints: readonly ChangeHint[]): Promise<void> {
    this.#duringScan?.push(...hints);
    try {
      await this.#inTurn(async () =>
        this.#publish(await this.#reader.reread(this.#current, hints, this.#stopped.signal)),
      );
      this.#wantSettings(hints);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #scanAgain(hint: ChangeHint): Promise<void> {
    this.#log.info({ hint }, 'reading the whole node');
    this.#onMissed();
    try {
      await this.#scan();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** One scan at a time; who asks while one runs gets the next, since the change may be older than its result. */
  #scan(): Promise<void> {
    if (this.#scanning === undefined) {
      this.#scanning = this.#scanOnce().finally(() => {
        this.#scanning = undefined;
      });
      return this.#scanning;
    }
    const next = () => {
      this.#nextScan = undefined;
      return this.#scan();
    };
    this.#nextScan ??= this.#scanning.then(next, next);
    return this.#nextScan;
  }

  /** Not in turn: it takes up to a second, and changes must not wait for it. */
  async #scanOnce(): Promise<void> {
    const meanwhile: ChangeHint[] = [];
    this.#duringScan = meanwhile;
    try {
      const whole = await this.#reader.read(this.#stopped.signal);
      await this.#inTurn(async () => {
        const shared = shareInventory(this.#current, whole);
        this.#publish(
          meanwhile.length === 0 ? shared : await this.#reader.reread(shared, meanwhile, this.#stopped.signal),
        );
      });
      this.#failures = 0;
    } finally {
      this.#duringScan = undefined;
    }
  }

  async #scanForever(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#clock.delay(this.#scanIntervalMs * (0.9 + Math.random() * 0.2), this.#stopped.signal);
      if (!this.#stopped.signal.aborted) await this.#scanAgain({ kind: 'all', why: 'slow scan' });
    }
  }

  #failed(error: unknown): void {
    if (this.#stopped.signal.aborted) return;
    this.#problem = error instanceof Error ? error.message : String(error);
    this.#log.warn({ problem: this.#problem }, 'the node could not be read, the inventory is old');
    const pauseMs = Math.min(RETRY_MS.first * 2 ** this.#failures, RETRY_MS.last);
    this.#failures += 1;
    this.#inBackground(this.#retry(pauseMs));
  }

  async #retry(pauseMs: number): Promise<void> {
    await this.#clock.delay(pauseMs, this.#stopped.signal);
    this.hint({ kind: 'all', why: 'the last read failed' });
  }

  /** PFs whose link changed or that have new VFs: their settings may have changed with it. */
  #wantSettings(hints: readonly ChangeHint[]): void {
    if (this.#reader.vfSettings === undefined) return;
    for (const hint of hints) {
      const pf = this.#current.nics.find((nic) => nic.vfs.length > 0 && isAbout(hint, nic));
      if (pf === undefined) continue;
      const isReading = this.#settingsWanted.has(pf.address);
      this.#settingsWanted.set(pf.address, true);
      if (!isReading) this.#inBackground(this.#readSettings(pf.address));
    }
  }

  /** Reads until nobody wants it any more, with a pause after each: what changes meanwhile is read after it. */
  async #readSettings(address: PciAddress): Promise<void> {
    while (this.#settingsWanted.get(address) === true && !this.#stopped.signal.aborted) {
      this.#settingsWanted.set(address, false);
      await this.#readSettingsOnce(address);
      await this.#clock.delay(SETTINGS_PAUSE_MS, this.#stopped.signal);
    }
    this.#settingsWanted.delete(address);
  }

  async #readSettingsOnce(address: PciAddress): Promise<void> {
    const netdev = this.#current.nics.find((nic) => nic.address === address)?.netdev;
    if (netdev === undefined) return;
    try {
      const answer = await this.#reader.vfSettings?.(netdev);
      await this.#inTurn(async () => this.#publish(withVfSettings(this.#current, address, answer)));
    } catch (error) {
      this.#log.warn({ address, err: error }, 'VF settings could not be read');
    }
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    await mine;
  }

  #publish(read: Inventory): void {
    if (this.#stopped.signal.aborted) return;
    const before = this.#current;
    const next = this.#recoveries.applyTo(read);
    this.#current = next;
    this.#readAt = this.#clock.now();
    this.#problem = undefined;
    if (next === before) return;
    const diff = diffInventories(before, next);
    if (isEmptyDiff(diff)) return;
    for (const listener of [...this.#listeners]) this.#tell(listener, diff, next);
  }

  #tell(listener: InventoryListener, diff: InventoryDiff, inventory: Inventory): void {
    try {
      listener(diff, inventory);
    } catch (error) {
      this.#log.error({ err: error }, 'a listener of the inventory failed');
    }
  }

  #inBackground(work: Promise<void>): void {
    const watched = work
      .catch((error: unknown) => this.#log.error({ err: error }, 'watching the inventory failed'))
      .finally(() => this.#background.delete(watched));
    this.#background.add(watched);
  }
}

function isAbout(hint: ChangeHint, nic: Nic): boolean {
  if (hint.kind === 'link') return nic.netdev?.ifindex === hint.ifindex;
  if (hint.kind !== 'pci' || hint.action === 'remove') return false;
  return nic.address === hint.address || nic.vfs.some((vf) => vf.address === hint.address);
}

/** Equal hints need one look. */
function keyOf(hint: ChangeHint): string {
  switch (hint.kind) {
    case 'all':
    case 'route':
      return hint.kind;
    case 'pci':
      return `pci ${hint.address}`;
    case 'link':
      return `link ${hint.ifindex} ${hint.ifname}`;
    case 'address':
      return `address ${hint.ifindex}`;
    case 'module':
      return `module ${hint.devpath}`;
    default:
      return hint satisfies never;
  }
}
