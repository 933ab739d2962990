/** The stream of a cluster: `cluster`, then `nodes` for a few nodes at a time, then changes. */
import { type ClusterDocument, clusterChange, type SparseDevice } from '../engine/cluster/document.ts';
import { createEventStreams, type EventStreamOptions, type EventStreams, type StreamPortion } from './event-stream.ts';

/** Devices in one portion: writing them takes some milliseconds. */
const PORTION = 1000;

/** Streams of the dashboard. */
export function createClusterStreams(
  options: Omit<EventStreamOptions<ClusterDocument>, 'portions' | 'change'>,
): EventStreams {
  return createEventStreams({ ...options, portions, change: clusterChange });
}

function* portions({ connection, identity, nameless, nodes }: ClusterDocument): Iterable<StreamPortion> {
  yield ['cluster', { identity, connection, nameless }];
  let portion: { readonly facts: unknown; readonly devices: readonly SparseDevice[] }[] = [];
  let size = 0;
  for (const { devices, facts } of nodes.values()) {
    if (size + devices.size > PORTION && portion.length > 0) {
      yield ['nodes', portion];
      portion = [];
      size = 0;
    }
    portion.push({ facts, devices: [...devices.values()] });
    size += devices.size + 1;
  }
  if (portion.length > 0) yield ['nodes', portion];
}
