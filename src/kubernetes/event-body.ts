/** What an event says (core/v1, Event) before it is sent. */
import type { CoreV1Event } from '@kubernetes/client-node';

/** Longest note that is sent; the API server takes 1024 bytes. */
const MOST_NOTE = 1000;

/** What an event is about. */
export interface EventSubject {
  readonly kind: 'Node' | 'Pod';
  /** Of a pod; events about nodes are in `default`. */
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
}

export interface ClusterEvent {
  readonly about: EventSubject;
  readonly type: 'Normal' | 'Warning';
  /** In CamelCase, as `kubectl get events` shows it. */
  readonly reason: string;
  readonly note: string;
  /** The node that reports. */
  readonly node: string;
  /** When it happened first and last, and how often. */
  readonly first: Date;
  readonly last: Date;
  readonly count: number;
}

/** As kubectl and other clients expect it of a component on a node. */
export function eventBody({ about, count, first, last, node, note, reason, type }: ClusterEvent): CoreV1Event {
  const { kind, name, namespace, uid } = about;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: 'berth-', namespace },
    involvedObject: {
      apiVersion: 'v1',
      kind,
      name,
      // By convention a node is known to events by its name.
      ...(kind === 'Node' ? { uid: name } : { namespace, ...(uid === undefined ? {} : { uid }) }),
    },
    type,
    reason,
    message: note.length > MOST_NOTE ? `${note.slice(0, MOST_NOTE - 3)}...` : note,
    source: { component: 'berth', host: node },
    firstTimestamp: first,
    lastTimestamp: last,
    count,
    reportingComponent: 'berth.dev/agent',
    reportingInstance: node,
  };
}
