/** What keys of one selector say together, the same for every form of the file. */
import type { LocatedDocument } from './document.ts';
import type { ConfigProblem, DocumentPath } from './problem.ts';
import { valueAt } from './schema-problems.ts';

/** A function that is a vDPA device belongs to a virtual machine or a virtio driver, and its RDMA device to nobody. */
export function exclusiveKeys(document: LocatedDocument, path: DocumentPath, selector: unknown): ConfigProblem[] {
  if (valueAt(selector, ['isRdma']) !== true || valueAt(selector, ['vdpaType']) === undefined) return [];
  const message = 'isRdma and vdpaType exclude each other';
  return [document.problem([...path, 'vdpaType'], message, 'write two resources', true)];
}
