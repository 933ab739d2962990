/** Pools in kubelet's words: devices with health and NUMA hint. */
import type { PoolDevice, PoolState } from '../engine/pools/model.ts';
import { type Device, ListAndWatchResponse } from './gen/deviceplugin/v1beta1/device_plugin.ts';

/** Kubelet's client takes 4 MiB; the rest is room for gRPC's frame. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024 - 64;

/** The whole list, as every ListAndWatch message is. */
export function listOf(state: PoolState): ListAndWatchResponse {
  const includeTopology = !state.spec.excludeTopology;
  return { devices: state.devices.map((device) => deviceOf(device, includeTopology)) };
}

/**
 * As many devices from the front of the list as fit into one message. A list that is too long would
 * end the stream, and with it every device.
 */
export function fitMessage(list: ListAndWatchResponse, maxBytes: number = MAX_MESSAGE_BYTES): ListAndWatchResponse {
  let fitting = list;
  let bytes = sizeOf(fitting);
  while (bytes > maxBytes && fitting.devices.length > 0) {
    const share = Math.floor((fitting.devices.length * maxBytes) / bytes);
    fitting = { devices: fitting.devices.slice(0, Math.min(share, fitting.devices.length - 1)) };
    bytes = sizeOf(fitting);
  }
  return fitting;
}

function sizeOf(list: ListAndWatchResponse): number {
  return ListAndWatchResponse.encode(list).finish().length;
}

function deviceOf(device: PoolDevice, includeTopology: boolean): Device {
  const node = includeTopology ? device.numaNode : undefined;
  return {
    ID: device.id,
    health: device.healthy ? 'Healthy' : 'Unhealthy',
    topology: node === undefined ? undefined : { nodes: [{ ID: node }] },
  };
}
