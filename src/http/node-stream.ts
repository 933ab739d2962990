/** The stream of one node: `node`, then `devices` for each NIC with its VFs, then changes. */
import { type FeedDevice, type FeedDocument, feedChange } from '../engine/feed/document.ts';
import { createEventStreams, type EventStreamOptions, type EventStreams, type StreamPortion } from './event-stream.ts';

/** Streams of the agent's node, for its socket and its page together. */
export function createNodeStreams(
  options: Omit<EventStreamOptions<FeedDocument>, 'portions' | 'change'>,
): EventStreams {
  return createEventStreams({ ...options, portions, change: feedChange });
}

function* portions({ devices, findings, node, virtual }: FeedDocument): Iterable<StreamPortion> {
  yield ['node', { node, findings, virtual }];
  let portion: FeedDevice[] = [];
  for (const device of devices.values()) {
    if (!('pf' in device) && portion.length > 0) {
      yield ['devices', portion];
      portion = [];
    }
    portion.push(device);
  }
  if (portion.length > 0) yield ['devices', portion];
}
