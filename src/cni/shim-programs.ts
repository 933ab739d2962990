/**
 * The runtime's place as the engine sees it: IPAM programs are executed by the shim that waits for
 * its answer, with the runtime's mounts, environment and limits (src/shim/delegate.c). One at a time.
 * To debug: `strace -f -e trace=execve,sendto,recvfrom <shim>`.
 */
import type { Socket } from 'node:net';
import { BerthError } from '../engine/errors.ts';
import type { IpamCall, IpamOutcome, IpamPrograms } from '../engine/ipam/port.ts';
import { CANCEL_FRAME, decodeResult, decodeResultHeader, encodeExecute, FRAME_HEADER_BYTES } from './protocol.ts';

/** What the shim needs to kill a program and say so; then its place counts as gone. */
const LATE_MS = 5_000;

interface Waiting {
  readonly resolve: (outcome: IpamOutcome) => void;
  readonly reject: (error: Error) => void;
}

export class ShimPrograms implements IpamPrograms {
  readonly #socket: Socket;
  #queue: Promise<unknown> = Promise.resolve();
  #waiting: Waiting | undefined;
  #chunks: Buffer[] = [];
  #received = 0;
  #wanted: number | undefined;
  #listening = false;

  /** `socket` has delivered its request, and everything that comes now is a result. */
  constructor(socket: Socket) {
    this.#socket = socket;
  }

  execute(call: IpamCall, signal: AbortSignal): Promise<IpamOutcome> {
    const turn = this.#queue.then(() => this.#executeNow(call, signal));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  #executeNow(call: IpamCall, signal: AbortSignal): Promise<IpamOutcome> {
    if (this.#socket.destroyed || !this.#socket.writable) return Promise.reject(placeGone('the shim has ended'));
    if (signal.aborted) return Promise.resolve({ end: { kind: 'cancelled' }, path: '', stdout: '', stderr: '' });
    this.#listen();
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        this.#waiting = undefined;
        clearTimeout(late);
        signal.removeEventListener('abort', cancel);
        act();
      };
      const tooLate = (): void => {
        // A shim that cannot be relied upon must not run on: its end kills the program.
        this.#socket.destroy();
        this.#waiting?.reject(placeGone('the shim did not tell how the program ended'));
      };
      let late = setTimeout(tooLate, call.timeoutMs + LATE_MS);
      const cancel = (): void => {
        this.#socket.write(CANCEL_FRAME);
        clearTimeout(late);
        late = setTimeout(tooLate, LATE_MS);
      };
      this.#waiting = {
        resolve: (outcome) => settle(() => resolve(outcome)),
        reject: (error) => settle(() => reject(error)),
      };
      signal.addEventListener('abort', cancel, { once: true });
      this.#socket.write(encodeExecute(call));
    });
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#socket.once('close', () => this.#waiting?.reject(placeGone('the runtime has gone away')));
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    try {
      if (this.#wanted === undefined && this.#received >= FRAME_HEADER_BYTES)
        this.#wanted = FRAME_HEADER_BYTES + decodeResultHeader(Buffer.concat(this.#chunks)).lengthBytes;
      if (this.#wanted === undefined || this.#received < this.#wanted) return;
      const outcome = decodeResult(Buffer.concat(this.#chunks).subarray(FRAME_HEADER_BYTES, this.#wanted));
      this.#chunks = [];
      this.#received = 0;
      this.#wanted = undefined;
      this.#waiting?.resolve(outcome);
    } catch (error) {
      this.#socket.destroy();
      this.#waiting?.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function placeGone(why: string): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'ipam-place-gone',
    message: `IPAM programs cannot be executed for this call any more: ${why}`,
    remedy: 'What it may have reserved is released from the agent; the runtime tries again.',
  });
}

/** For a call of a shim of an older release, which cannot execute programs. */
export const oldShimPrograms: IpamPrograms = {
  execute: () =>
    Promise.reject(
      new BerthError({
        code: 'Unsupported',
        reason: 'shim-too-old',
        message: 'the shim of this call is of a release that cannot execute IPAM programs',
        remedy: "Install the shim of the agent's release.",
      }),
    ),
};
