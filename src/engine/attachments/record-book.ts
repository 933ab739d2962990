/** The records in memory, written through to their store. The only way to read or change one. */
import { BerthError } from '../errors.ts';
import type { OtherLink } from '../links/index.ts';
import type { Logger } from '../logger.ts';
import type { AttachmentKey } from './model.ts';
import { type AttachmentRecord, formatRecord, parseRecord } from './record.ts';
import type { RecordStore } from './record-store.ts';

export interface UnreadableRecord {
  readonly name: string;
  readonly key?: AttachmentKey;
  readonly newer: boolean;
  readonly problem: string;
}

export function keyText(key: AttachmentKey): string {
  return `${key.containerId}@${key.ifname}`;
}

export class RecordBook {
  readonly #store: RecordStore;
  readonly #records = new Map<string, AttachmentRecord>();
  readonly #unreadable = new Map<string, UnreadableRecord>();
  readonly #listeners = new Set<() => void>();

  constructor(store: RecordStore, log: Logger) {
    this.#store = store;
    for (const stored of store.list()) {
      const parsed =
        stored.text === undefined
          ? ({ ok: false, newer: false, problem: stored.problem ?? 'it cannot be read' } as const)
          : parseRecord(stored.text);
      if (parsed.ok) {
        this.#records.set(keyText(parsed.record.key), parsed.record);
        continue;
      }
      const unreadable: UnreadableRecord = {
        name: stored.name,
        newer: parsed.newer,
        problem: parsed.problem,
        ...(stored.key === undefined ? {} : { key: stored.key }),
      };
      this.#unreadable.set(stored.key === undefined ? stored.name : keyText(stored.key), unreadable);
      log.error({ file: stored.name, problem: parsed.problem }, 'a record cannot be used and is kept as it is');
    }
  }

  /** The record of an attachment. Throws `Io` (`record-unreadable`) when there is one that this version cannot use. */
  get(key: AttachmentKey): AttachmentRecord | undefined {
    const unreadable = this.#unreadable.get(keyText(key));
    if (unreadable === undefined) return this.#records.get(keyText(key));
    throw new BerthError({
      code: 'Io',
      reason: unreadable.newer ? 'record-newer' : 'record-unreadable',
      message: `the record ${unreadable.name} cannot be used: ${unreadable.problem}`,
      remedy: unreadable.newer
        ? 'Run the version of Berth that wrote it, or a later one.'
        : 'Restore the device by hand, then remove the file.',
    });
  }

  all(): readonly AttachmentRecord[] {
    return [...this.#records.values()];
  }

  /** The links of all attachments but one. */
  others(than: AttachmentKey): readonly OtherLink[] {
    return this.all()
      .filter((record) => keyText(record.key) !== keyText(than) && record.addressesOnly !== true)
      .map((record) => ({ key: record.key, state: record.link }));
  }

  unreadable(): readonly UnreadableRecord[] {
    return [...this.#unreadable.values()];
  }

  /** The record that has an exclusive device, of whatever phase. */
  holderOf(device: string): AttachmentRecord | undefined {
    for (const record of this.#records.values()) {
      if (record.exclusive && record.device === device) return record;
    }
    return undefined;
  }

  /** The device of the attachment whose configuration called it so. */
  deviceNamed(named: string): string | undefined {
    return this.all().find(({ link }) => nameOf(link) === named)?.device;
  }

  put(record: AttachmentRecord): void {
    this.#store.write(record.key, formatRecord(record));
    this.#records.set(keyText(record.key), record);
    this.#changed();
  }

  remove(key: AttachmentKey): void {
    this.#store.remove(key);
    this.#records.delete(keyText(key));
    this.#changed();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function nameOf(link: AttachmentRecord['link']): string | undefined {
  if (link.kind === 'host-device') return link.named;
  return link.kind === 'macvtap' && link.origin === 'given' ? link.given.named : undefined;
}
