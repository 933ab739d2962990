/**
 * The sandbox of one call: from the descriptor that the shim passed to the engine's `Namespace`, and
 * why there is none. Nothing has been changed when one of these is refused.
 */
import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import type { Namespace } from '../engine/attachments/port.ts';
import { BerthError } from '../engine/errors.ts';
import { CNI_CODES, CniFault } from './errors.ts';
import type { AdoptSandbox } from './port.ts';

/** Adopts the descriptor when it is needed, and closes it in every case. */
export class SandboxHolder {
  #fd: number | undefined;
  #namespace: Namespace | undefined;
  readonly #adopt: AdoptSandbox;

  constructor(fd: number | undefined, adopt: AdoptSandbox) {
    this.#fd = fd;
    this.#adopt = adopt;
  }

  /** Throws code 3 for a sandbox that is gone and code 4 for what cannot be one. */
  async require(path: string, netnsErrno: number | undefined): Promise<Namespace> {
    if (this.#fd === undefined) throw sandboxFault(path, netnsErrno);
    const fd = this.#fd;
    this.#fd = undefined;
    try {
      this.#namespace = await this.#adopt(fd);
    } catch (cause) {
      if (!(cause instanceof BerthError) || cause.code !== 'Invalid') throw cause;
      throw new CniFault(CNI_CODES.badEnvironment, {
        reason: 'sandbox-not-a-namespace',
        message: `CNI_NETNS ${shown(path)} is no network namespace`,
        remedy:
          'The runtime names a file of another kind: the sandbox may have ended, or its mount is not visible where the plugin runs.',
        cause,
      });
    }
    if (this.#namespace.isHost) {
      throw new CniFault(CNI_CODES.badEnvironment, {
        reason: 'sandbox-is-host',
        message: `CNI_NETNS ${shown(path)} is the node's own network namespace`,
        remedy: 'Secondary networks need a sandbox of their own: the pod must not use hostNetwork.',
      });
    }
    return this.#namespace;
  }

  /** For DEL, which goes on without one. */
  async tryOpen(): Promise<Namespace | undefined> {
    if (this.#fd === undefined) return undefined;
    try {
      return await this.require('', undefined);
    } catch (error) {
      if (error instanceof CniFault) return undefined;
      throw error;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#namespace?.close();
  }
}

const ENOENT = 2;

/** A path has 4,095 bytes, and a message is for people. */
const MOST_SHOWN = 120;

function shown(path: string): string {
  return path.length > MOST_SHOWN ? `${path.slice(0, MOST_SHOWN)}...` : path;
}

function sandboxFault(path: string, netnsErrno: number | undefined): CniFault {
  if (path === '') {
    return new CniFault(CNI_CODES.badEnvironment, {
      reason: 'sandbox-not-named',
      message: 'CNI_NETNS is not set',
      remedy: 'ADD and CHECK need it: the runtime has to name the sandbox.',
    });
  }
  if (netnsErrno === ENOENT) {
    return new CniFault(CNI_CODES.unknownContainer, {
      code: 'NotFound',
      reason: 'sandbox-missing',
      message: `CNI_NETNS ${shown(path)} does not exist`,
      remedy: 'The sandbox has ended meanwhile; kubelet makes another one.',
    });
  }
  return new CniFault(CNI_CODES.badEnvironment, {
    reason: 'sandbox-unreadable',
    message: `CNI_NETNS ${shown(path)} could not be opened by the shim: ${netnsErrno === undefined ? 'it passed no descriptor' : getSystemErrorName(-netnsErrno)}`,
    remedy: 'Execute the plugin where the path is visible, as root.',
  });
}
