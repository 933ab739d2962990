/**
 * Every change that an engine makes, on the live kernel and on disk, as a numbered step at which a
 * test can fail it, cancel it or stop it for ever, which is what a killed process looks like to the
 * world: what it did stays, and nothing of it goes on.
 */
import type { Kernel, LinkOperation, Namespace } from '../../src/engine/attachments/port.ts';
import type { RecordStore } from '../../src/engine/attachments/record-store.ts';
import type { OwnedAddresses, ReservationStore } from '../../src/engine/ipam/port.ts';
import type { IfName } from '../../src/engine/values.ts';

/** Called before each step; what it throws is the step's error, and what it never resolves stops the engine there. */
export type AtStep = (what: string) => Promise<void> | void;

export interface Stepped {
  readonly kernel: Kernel;
  readonly records: RecordStore;
  readonly reservations: ReservationStore;
  readonly ownedAddresses: OwnedAddresses;
}

/** Thrown by a synchronous step that is to be the last: the stores cannot wait. */
export class Stopped extends Error {}

export function stepped(parts: Stepped, at: AtStep): Stepped {
  return {
    kernel: steppedKernel(parts.kernel, at),
    records: {
      list: () => parts.records.list(),
      write: (key, text) => {
        now(at, `record ${(JSON.parse(text) as { phase: string }).phase}`);
        parts.records.write(key, text);
      },
      remove: (key) => {
        now(at, 'record removed');
        parts.records.remove(key);
      },
    },
    reservations: {
      isThere: (dataDir, network) => parts.reservations.isThere(dataDir, network),
      locked: async (dataDir, network, signal, work) => {
        await at('addresses');
        return parts.reservations.locked(dataDir, network, signal, work);
      },
    },
    ownedAddresses: {
      list: () => parts.ownedAddresses.list(),
      note: (owned) => parts.ownedAddresses.note(owned),
      forget: (owner) => {
        now(at, 'note removed');
        parts.ownedAddresses.forget(owner);
      },
    },
  };
}

/** A store's step is one call: it can fail, and a stop there is a failure that nothing is done about. */
function now(at: AtStep, what: string): void {
  const waiting = at(what);
  if (waiting instanceof Promise) throw new Stopped(what);
}

function steppedKernel(kernel: Kernel, at: AtStep): Kernel {
  const wrap = (namespace: Namespace): Namespace => steppedNamespace(namespace, at);
  return new Proxy(kernel, {
    get: (target, property) => {
      if (property === 'host') return wrap(target.host);
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (property !== 'open' && property !== 'adopt') return value.bind(target);
      return async (...args: readonly unknown[]) => {
        const opened: Namespace | undefined = await value.apply(target, args);
        return opened === undefined ? undefined : wrap(opened);
      };
    },
  });
}

/** A proxy, so that the adapter still knows its own namespaces. */
export function steppedNamespace(namespace: Namespace, at: AtStep): Namespace {
  return new Proxy(namespace, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (property === 'apply') return (operations: readonly LinkOperation[]) => apply(target, operations, at);
      if (property === 'applyAndFind') {
        return async (operations: readonly LinkOperation[], name: IfName, where: Namespace) => {
          await apply(target, operations, at);
          return await where.link({ name });
        };
      }
      if (property !== 'writeSysctl' && property !== 'announce') return value.bind(target);
      return async (...args: readonly unknown[]) => {
        await at(property === 'announce' ? 'announce' : `sysctl ${String((args[0] as readonly string[]).at(-1))}`);
        return value.apply(target, args);
      };
    },
  });
}

/** One at a time: all are attempted, and the first failure is thrown, as of the port's own. */
async function apply(namespace: Namespace, operations: readonly LinkOperation[], at: AtStep): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  for (const operation of operations) {
    try {
      await at(describe(operation));
      await namespace.apply([operation]);
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

function describe(operation: LinkOperation): string {
  if (operation.op === 'link.create') return `create ${operation.kind}`;
  if (operation.op === 'vf.set') return `PF: ${Object.keys(operation.set).join(', ')}`;
  if (operation.op !== 'link.set') return operation.op;
  const { op: _op, index: _index, isSoftware: _software, moveTo, ...rest } = operation;
  const up = rest.up === undefined ? [] : [rest.up ? 'up' : 'down'];
  const fields = Object.keys(rest).filter((field) => field !== 'up');
  return [...(moveTo === undefined ? [] : ['move']), ...fields, ...up].join(', ');
}
