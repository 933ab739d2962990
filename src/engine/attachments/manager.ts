/**
 * Attach, detach, check and list: the engine's face to the front ends. Operations on one attachment
 * are serial; a DEL aborts a running ADD and waits for its undo. Whatever happens, what an ADD did is
 * undone or recorded to be. Debug: one log line an operation, found by `requestId` or `attachment`.
 */

import { checkpoint } from '../cancellation.ts';
import { BerthError, toBerthError } from '../errors.ts';
import { allocate, noAddressing } from '../ipam/index.ts';
import type { IpamResult } from '../ipam/model.ts';
import { driverOf, type LinkOutcome, marksOf, type OtherLink } from '../links/index.ts';
import type { NetworkName } from '../values.ts';
import { askEarly, requireAllocated } from './allocation.ts';
import { checkAttachment } from './check.ts';
import type { AttachmentContext } from './context.ts';
import type { DeviceUse } from './device-policy.ts';
import { takeDevice } from './holders.ts';
import { addressLate, isAddressedLate } from './late-addressing.ts';
import type {
  AttachmentKey,
  AttachmentSummary,
  Attachments,
  AttachRequest,
  AttachResult,
  CheckRequest,
  LinkKind,
  OperationContext,
} from './model.ts';
import { lapsOf } from './observer.ts';
import { deletePredecessor } from './peers/links.ts';
import { adoptForCall } from './peers/sriov-cni.ts';
import type { Namespace } from './port.ts';
import { type AttachmentRecord, RECORD_SCHEMA } from './record.ts';
import { keyText } from './record-book.ts';
import { releaseNotedAddresses } from './recovery.ts';
import { restoreAttachment } from './restore.ts';
import { announceWhenUp, waitForAddresses } from './settle.ts';

/** An undo gets its own time: the ADD's own may be what ended it. */
const UNDO_MS = 30_000;
/** A device of the node, in whose move the kernel mostly waits: its addresses are reserved meanwhile. */
const MOVED: ReadonlySet<LinkKind> = new Set(['vf', 'host-device']);
const NETWORKS_REMEMBERED = 256;

export class AttachmentManager implements Omit<Attachments, 'keepValid'> {
  readonly #context: AttachmentContext;
  readonly #adding = new Map<string, Set<AbortController>>();
  readonly #background = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  /** Networks whose addresses were refused last: there nothing is moved before they are reserved. */
  readonly #refusing = new Set<NetworkName>();

  constructor(context: AttachmentContext) {
    this.#context = context;
  }

  async attach(request: AttachRequest, operation: OperationContext): Promise<AttachResult> {
    if (request.sandbox.isHost) {
      throw new BerthError({
        code: 'Invalid',
        reason: 'sandbox-is-host',
        message: `${request.sandboxPath} is the node's own network namespace`,
        remedy: 'A pod with hostNetwork cannot have secondary networks.',
      });
    }
    const cancel = this.#cancellable(request.key, operation.signal);
    try {
      return await this.#context.attachmentLocks.run(keyText(request.key), cancel.signal, () =>
        this.#add(request, { ...operation, signal: cancel.signal }),
      );
    } finally {
      cancel.done();
    }
  }

  async detach(key: AttachmentKey, sandbox: Namespace | undefined, operation: OperationContext): Promise<void> {
    for (const controller of this.#adding.get(keyText(key)) ?? []) {
      controller.abort(
        new BerthError({
          code: 'Interrupted',
          reason: 'operation-cancelled',
          message: `DEL of ${keyText(key)} came while its ADD was running`,
        }),
      );
    }
    await this.#context.attachmentLocks.run(keyText(key), operation.signal, async () => {
      await this.#adopt(key, sandbox, operation);
      const { predecessor } = operation;
      if (predecessor !== undefined && this.#context.records.get(key) === undefined)
        return deletePredecessor(this.#context, key, sandbox, predecessor, operation);
      // What fails is also retried here, because a runtime may never ask again.
      await restoreAttachment(this.#context, key, {
        authority: 'runtime',
        signal: operation.signal,
        cause: 'del',
        ...(sandbox === undefined ? {} : { given: sandbox }),
        ...placeOf(operation),
      });
    });
  }

  async check(request: CheckRequest, operation: OperationContext): Promise<void> {
    await this.#context.attachmentLocks.run(keyText(request.key), operation.signal, async () => {
      await this.#adopt(request.key, request.sandbox, operation);
      await checkAttachment(this.#context, request, operation);
    });
  }

  async releaseAddresses(key: AttachmentKey, { signal }: OperationContext): Promise<void> {
    await this.#context.attachmentLocks.run(keyText(key), signal, () =>
      releaseNotedAddresses(this.#context, key, signal),
    );
  }

  list(): readonly AttachmentSummary[] {
    return this.#context.records.all().map(summarize);
  }

  /** Aborts running ADDs, and waits until they are undone and nothing runs in the background. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const controllers of this.#adding.values()) {
      for (const controller of controllers)
        controller.abort(
          new BerthError({
            code: 'Interrupted',
            reason: 'agent-stopping',
            message: 'the agent is stopping',
            remedy: 'The runtime tries again.',
          }),
        );
    }
    const signal = AbortSignal.timeout(UNDO_MS);
    await Promise.all(
      [...this.#adding.keys()].map((key) => this.#context.attachmentLocks.run(key, signal, () => Promise.resolve())),
    );
    await Promise.all(this.#background);
  }

  async #add(request: AttachRequest, operation: OperationContext): Promise<AttachResult> {
    const { requestId, signal } = operation;
    const lap = lapsOf(this.#context.observer, 'add', request.link.kind);
    askEarly(this.#context, request);
    await this.#clearPrevious(request, operation);
    const { kernel, records } = this.#context;
    const driver = driverOf(request.link.kind);
    const [target, nsid] = await Promise.all([
      driver.resolve(this.#context, request.link, request.sandbox),
      kernel.nsid(request.sandbox),
    ]);
    this.#context.policy?.admit(useOf(request, target.device));
    await requireAllocated(this.#context, request, target, signal);
    lap('resolve');
    const releaseDevice = await takeDevice(this.#context, target, request, signal);
    lap('device');
    let record: AttachmentRecord | undefined;
    let outcome: LinkOutcome;
    let addressing: IpamResult;
    try {
      try {
        const state = await driver.prepare(this.#context, {
          spec: request.link,
          target,
          sandbox: request.sandbox,
          ifname: request.key.ifname,
          marks: marksOf(request.key),
          others: this.#others(),
          signal,
        });
        checkpoint(signal, 'preparing the attachment');
        const written = this.#newRecord(
          request,
          requestId,
          { device: target.device, lockKey: target.lockKey, exclusive: target.exclusive },
          state,
          nsid,
        );
        record = written;
        records.put(written);
        this.#requireShim();
        lap('prepare');
        let reserving: Promise<IpamResult> | undefined;
        const reserve = (): Promise<IpamResult> => (reserving ??= this.#reserve(written, request, signal));
        if (!MOVED.has(request.link.kind) || this.#refusing.has(request.network)) await reserve();
        checkpoint(signal, 'making the link');
        outcome = await driver.attach(this.#context, {
          spec: request.link,
          state,
          sandbox: request.sandbox,
          ifname: request.key.ifname,
          addressing: isAddressedLate(request) ? () => reserve().then(() => noAddressing) : reserve,
          signal,
        });
        addressing = await reserve();
        lap('link');
      } finally {
        releaseDevice();
      }
      if (isAddressedLate(request))
        addressing = await addressLate(this.#context, request, record, outcome, addressing, operation);
      await waitForAddresses(this.#context, request.sandbox, outcome, addressing.addresses, signal);
      lap('settle');
      checkpoint(signal, 'completing the attachment');
      const result = toResult(request, outcome, addressing);
      this.#complete(records.get(request.key) ?? record, result, outcome);
      return result;
    } catch (error) {
      if (record !== undefined && records.get(request.key) !== undefined) await this.#undo(request, operation);
      throw toBerthError(error);
    }
  }

  /** A record of the same key: an unfinished or outdated one is restored first, a living one refuses the ADD. */
  async #clearPrevious(request: AttachRequest, operation: OperationContext): Promise<void> {
    const previous = this.#context.records.get(request.key);
    if (previous === undefined) return;
    if (previous.phase === 'attached' && previous.sandbox.cookie === request.sandbox.id.cookie) {
      throw new BerthError({
        code: 'Invalid',
        reason: 'attachment-exists',
        message: `interface ${request.key.ifname} of container ${request.key.containerId} is attached already`,
        remedy: 'The runtime must send DEL before it adds the same interface again.',
      });
    }
    await restoreAttachment(this.#context, request.key, {
      authority: 'proof',
      signal: operation.signal,
      cause: 'same-key',
      given: request.sandbox,
      ...placeOf(operation),
    });
  }

  /** After the record is written, which whoever removes the shim looks for: one of the two sees the other. */
  #requireShim(): void {
    if (!this.#context.isShimBeingRemoved()) return;
    throw new BerthError({
      code: 'Busy',
      reason: 'shim-being-removed',
      message: "Berth's CNI program is being removed from this node, so nothing new is attached",
      remedy: 'The runtime tries again; afterwards the name belongs to the plugin that had it before, or to none.',
    });
  }

  /** Reserves addresses. The record says where beforehand; a refusal means that nothing is reserved there. */
  async #reserve(record: AttachmentRecord, request: AttachRequest, signal: AbortSignal): Promise<IpamResult> {
    const { network, ipam, key } = request;
    const lap = lapsOf(this.#context.observer, 'add', request.link.kind);
    try {
      const addressing = await allocate(this.#context, ipam, { network, ...key }, signal);
      this.#refusing.delete(network);
      return addressing;
    } catch (error) {
      if (this.#refusing.size >= NETWORKS_REMEMBERED) this.#refusing.clear();
      this.#refusing.add(network);
      // Otherwise the undo would release what somebody else reserved for the same container.
      const { addresses: _none, ...rest } = record;
      this.#context.records.put(rest);
      throw error;
    } finally {
      lap('addresses');
    }
  }

  #newRecord(
    request: AttachRequest,
    requestId: string,
    target: { device: string; lockKey: string | undefined; exclusive: boolean },
    link: AttachmentRecord['link'],
    nsid: number,
  ): AttachmentRecord {
    const now = this.#context.clock.now().toISOString();
    const { ipam } = request;
    return {
      schema: RECORD_SCHEMA,
      key: request.key,
      network: request.network,
      ...(request.pod === undefined ? {} : { pod: request.pod as NonNullable<AttachmentRecord['pod']> }),
      requestId,
      bootId: this.#context.bootId,
      createdAt: now,
      since: now,
      sandbox: { path: request.sandboxPath, cookie: request.sandbox.id.cookie, nsid },
      phase: 'adding',
      device: target.device,
      ...(target.lockKey === undefined ? {} : { lockKey: target.lockKey }),
      exclusive: target.exclusive,
      steps: [
        ...(ipam === undefined ? [] : [`addresses.reserve ${ipam.type}`]),
        `link.attach ${link.kind}`,
        'link.configure',
      ],
      link,
      ...(ipam?.type === 'host-local' ? { addresses: { type: 'host-local', dataDir: ipam.dataDir } } : {}),
      ...(ipam?.type === 'delegated' ? { addresses: ipam } : {}),
    };
  }

  #complete(record: AttachmentRecord, result: AttachResult, { ndiscNotify }: LinkOutcome): void {
    const attached: AttachmentRecord = {
      ...record,
      phase: 'attached',
      since: this.#context.clock.now().toISOString(),
      result: result as NonNullable<AttachmentRecord['result']>,
      ...(ndiscNotify === undefined ? {} : { ndiscNotify }),
    };
    this.#context.records.put(attached);
    const { device, key, link } = record;
    const about = { attachment: keyText(key), device, requestId: record.requestId, kind: link.kind };
    // The runtime is answered first: a line takes a fiftieth of an ADD.
    setImmediate(() => this.#context.log.info(about, 'attached'));
    if ((record.link.kind === 'vf' || record.link.kind === 'host-device') && result.hasNetdev)
      this.#inBackground(announceWhenUp(this.#context, attached, this.#stop.signal));
  }

  async #undo(request: AttachRequest, operation: OperationContext): Promise<void> {
    try {
      await restoreAttachment(this.#context, request.key, {
        authority: 'proof',
        signal: AbortSignal.timeout(UNDO_MS),
        cause: 'rollback',
        given: request.sandbox,
        ...placeOf(operation),
      });
    } catch (error) {
      // The ADD's own error is what the caller must see; this one is in the record and in list().
      this.#context.log.error({ err: error, attachment: keyText(request.key) }, 'undoing a failed ADD is incomplete');
      this.#context.retryLater(request.key);
    }
  }

  /** What another plugin made before the switch becomes ours as soon as it is asked about. */
  async #adopt(key: AttachmentKey, sandbox: Namespace | undefined, { predecessor }: OperationContext): Promise<void> {
    if (predecessor?.kind !== 'vf' || this.#context.records.get(key) !== undefined) return;
    await adoptForCall(this.#context, key, sandbox, predecessor);
  }

  #others(): readonly OtherLink[] {
    return this.#context.records
      .all()
      .filter((record) => record.addressesOnly !== true)
      .map((record) => ({ key: record.key, state: record.link }));
  }

  #cancellable(key: AttachmentKey, outer: AbortSignal): { readonly signal: AbortSignal; done(): void } {
    const text = keyText(key);
    const controller = new AbortController();
    const forward = (): void => controller.abort(outer.reason);
    if (outer.aborted) forward();
    else outer.addEventListener('abort', forward, { once: true });
    const running = this.#adding.get(text) ?? new Set();
    this.#adding.set(text, running.add(controller));
    return {
      signal: controller.signal,
      done: () => {
        outer.removeEventListener('abort', forward);
        running.delete(controller);
        if (running.size === 0) this.#adding.delete(text);
      },
    };
  }

  #inBackground(work: Promise<void>): void {
    const tracked = work.finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }
}

function placeOf({ ipamPrograms }: OperationContext): Pick<OperationContext, 'ipamPrograms'> {
  return ipamPrograms === undefined ? {} : { ipamPrograms };
}

function useOf({ link, pod }: AttachRequest, device: string): DeviceUse {
  const slot = 'slot' in link ? link.slot : undefined;
  return { kind: link.kind, device, ...(slot === undefined ? {} : { slot }), ...(pod === undefined ? {} : { pod }) };
}

function toResult(request: AttachRequest, outcome: LinkOutcome, addressing: IpamResult): AttachResult {
  return {
    ifname: request.key.ifname,
    ...(outcome.mac === undefined ? {} : { mac: outcome.mac }),
    ...(outcome.mtu === undefined ? {} : { mtu: outcome.mtu }),
    ...(outcome.pci === undefined ? {} : { pci: outcome.pci }),
    hasNetdev: outcome.hasNetdev,
    addresses: addressing.addresses,
    routes: addressing.routes,
    dns: addressing.dns,
  };
}

function summarize(record: AttachmentRecord): AttachmentSummary {
  const slot = 'slot' in record.link ? record.link.slot : undefined;
  return {
    containerId: record.key.containerId,
    ifname: record.key.ifname,
    kind: record.link.kind,
    device: record.device,
    ...(slot === undefined ? {} : { slot }),
    network: record.network,
    ...(record.pod === undefined ? {} : { pod: record.pod }),
    addresses: (record.result?.addresses ?? []).map((entry) => entry.address),
    state: record.phase === 'restoring' && record.problem !== undefined ? 'stuck' : record.phase,
    since: record.since,
    createdAt: record.createdAt,
    ...(record.addressesOnly === undefined ? {} : { addressesOnly: record.addressesOnly }),
    ...(record.problem === undefined ? {} : { problem: record.problem.message }),
  };
}
