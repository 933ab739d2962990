/** The folder in which runtimes look for CNI plugins, as an installation needs it. */

/** What has a name in the folder. */
export type Occupant =
  | { readonly kind: 'absent' }
  /** Berth's shim, of whatever release. */
  | { readonly kind: 'shim'; readonly isCurrent: boolean }
  /** Somebody else's file or symbolic link. */
  | { readonly kind: 'foreign' }
  /** A folder, device or pipe: nothing that can be replaced. */
  | { readonly kind: 'no-file' };

/** A shim that is on the disk whole, under a name that no runtime looks for. */
export interface StagedShim {
  /** Executes it as a runtime would. Throws `Unsupported` (`shim-does-not-run`). */
  verify(): Promise<void>;
  /** Gives it its name, in one step and in place of whatever has that name. */
  commit(name: string): Promise<void>;
}

/**
 * One installation at work in the folder; nobody else's is until `close`. Each method changes one
 * thing, in one step: whoever is killed between two leaves every name with a whole program.
 * All of them throw `Io` (`cni-folder-unusable`) when the file system refuses.
 */
export interface CniFolder {
  readonly path: string;
  names(): Promise<readonly string[]>;
  look(name: string): Promise<Occupant>;
  /** Writes the current shim beside the others, durably. */
  stage(): Promise<StagedShim>;
  /** The program `name` also gets the name `kept`, in place of what has it. */
  keep(name: string, kept: string): Promise<void>;
  /** The program `kept` gets the name `name`, in place of what has it, and loses the other. */
  putBack(kept: string, name: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** What was done is durable, what was only staged is removed, the folder is free for others. */
  close(): Promise<void>;
}
