/**
 * The Node as the owner of what tells of it: the API server removes an object when its owner is gone,
 * and knows the owner by its uid, so that a node which is made anew under its old name is another one.
 */
export interface NodeOwner {
  readonly apiVersion: 'v1';
  readonly kind: 'Node';
  readonly name: string;
  readonly uid: string;
}

/** Does not hold up the Node's removal, and leaves room for a controller (meta/v1, OwnerReference). */
export function nodeOwner(name: string, uid: string): NodeOwner {
  return { apiVersion: 'v1', kind: 'Node', name, uid };
}

/** Of an object's owners those that are Nodes; what cannot be read is none. */
export function nodeOwnersOf(metadata: unknown): readonly NodeOwner[] {
  const { ownerReferences } = (metadata ?? {}) as { ownerReferences?: unknown };
  if (!Array.isArray(ownerReferences)) return [];
  return ownerReferences.flatMap((owner: Partial<Record<keyof NodeOwner, unknown>> | null) => {
    const { apiVersion, kind, name, uid } = owner ?? {};
    if (apiVersion !== 'v1' || kind !== 'Node' || typeof name !== 'string' || typeof uid !== 'string') return [];
    return [nodeOwner(name, uid)];
  });
}
