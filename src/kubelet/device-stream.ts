/**
 * One ListAndWatch stream. Every message is the whole list, so a slow reader needs no queue: while
 * one message is on its way, only the newest list waits.
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { Empty } from './gen/deviceplugin/v1beta1/device_plugin.ts';

/** The call as the service has it: its messages are encoded already. */
export type DeviceListCall = ServerWritableStream<Empty, Buffer>;

export class DeviceStream {
  readonly #call: DeviceListCall;
  readonly #newest: () => Buffer;
  /** When the message was handed over that is on its way. */
  #sendingSince: number | undefined;
  #outdated = false;
  #ended = false;

  /** Sends the list at once. `onEnd` is called once, whoever ends the stream. */
  constructor(call: DeviceListCall, newest: () => Buffer, onEnd: () => void) {
    this.#call = call;
    this.#newest = newest;
    const ended = (): void => {
      if (this.#ended) return;
      this.#ended = true;
      onEnd();
    };
    // Kubelet cancels (restart, takeover); `close` also comes after `end` and when the connection broke.
    call.once('cancelled', ended);
    call.once('close', ended);
    call.on('error', ended);
    if (call.cancelled) setImmediate(ended);
    else this.publish();
  }

  /** Sends the newest list, after the one that is on its way. */
  publish(): void {
    if (this.#ended) return;
    if (this.#sendingSince !== undefined) {
      this.#outdated = true;
      return;
    }
    this.#sendingSince = performance.now();
    this.#outdated = false;
    this.#call.write(this.#newest(), () => {
      this.#sendingSince = undefined;
      if (this.#outdated) this.publish();
    });
  }

  /** How long the other end has not taken the message that is on its way; 0 when there is none. */
  get waitsMs(): number {
    return this.#sendingSince === undefined || this.#ended ? 0 : performance.now() - this.#sendingSince;
  }

  end(): void {
    if (!this.#ended) this.#call.end();
  }
}
