/**
 * A pool as the message that ListAndWatch sends: every message is the whole list, so what did not
 * change since the last one is not encoded again. A list that kubelet's client would refuse is
 * never sent: that would end the stream, and with it all the devices of the resource.
 */
import { BerthError } from '../engine/errors.ts';
import type { PoolDevice, PoolState } from '../engine/pools/model.ts';
import { type Device, ListAndWatchResponse } from './gen/deviceplugin/v1beta1/device_plugin.ts';

/** What kubelet's gRPC client takes; a message of exactly this size still passes. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** The message that lists nothing. */
export const EMPTY_LIST: Buffer = Buffer.alloc(0);

export class DeviceListEncoder {
  /** Encoded devices of the last list, by everything that is in the message. */
  #known: ReadonlyMap<string, Uint8Array> = new Map();

  /** Throws `Exhausted` (`pool-too-large`) with the size when kubelet would refuse the message. */
  encode(state: PoolState): Buffer {
    const { excludeTopology, resource } = state.spec;
    const known = new Map<string, Uint8Array>();
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for (const device of state.devices) {
      const node = excludeTopology ? undefined : device.numaNode;
      const key = `${device.id} ${device.healthy} ${node}`;
      const part = this.#known.get(key) ?? encoded(device, node);
      known.set(key, part);
      parts.push(part);
      bytes += part.length;
    }
    this.#known = known;
    if (bytes <= MAX_MESSAGE_BYTES) return Buffer.concat(parts, bytes);
    throw new BerthError({
      code: 'Exhausted',
      reason: 'pool-too-large',
      message: `the list of ${resource} has ${parts.length} devices and ${bytes} bytes; kubelet takes ${MAX_MESSAGE_BYTES} bytes, about ${fitting(parts.length, bytes)} of these devices`,
      remedy: 'Lower the capacity of the pool, or make several pools of it.',
    });
  }
}

/** One device as an element of the list: with its field number and length. */
function encoded(device: PoolDevice, node: number | undefined): Uint8Array {
  return ListAndWatchResponse.encode({ devices: [asMessage(device, node)] }).finish();
}

function asMessage({ healthy, id }: PoolDevice, node: number | undefined): Device {
  return {
    ID: id,
    health: healthy ? 'Healthy' : 'Unhealthy',
    topology: node === undefined ? undefined : { nodes: [{ ID: node }] },
  };
}

function fitting(devices: number, bytes: number): number {
  return Math.floor((devices / bytes) * MAX_MESSAGE_BYTES);
}
