/**
 * Where records are kept: a folder on tmpfs (`/run/berth/attachments`), one file an attachment.
 * Implemented by `src/linux/files`. Synchronous, because the files are tiny and in memory.
 */
import type { AttachmentKey } from './model.ts';

export interface StoredRecord {
  /** File name, for messages. */
  readonly name: string;
  /** The key that the name says; absent when it is no record's name. */
  readonly key?: AttachmentKey;
  /** Absent when it could not be read. */
  readonly text?: string;
  readonly problem?: string;
}

export interface RecordStore {
  list(): readonly StoredRecord[];
  /** Replaces atomically: a reader sees the old or the new text. Throws `Io` (`record-write-failed`). */
  write(key: AttachmentKey, text: string): void;
  /** Success when it is gone already. Throws `Io` (`record-write-failed`). */
  remove(key: AttachmentKey): void;
}
