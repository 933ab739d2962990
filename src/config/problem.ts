/** Where in a configuration file a problem is. */
export type { ConfigProblem } from '../engine/view.ts';

/** Keys and indexes from the top of the document. */
export type DocumentPath = readonly (string | number)[];

/** `['pools', 1, 'capacity']` as `pools[1].capacity`. */
export function formatPath(path: DocumentPath): string {
  return path
    .map((part, at) => {
      if (typeof part === 'number') return `[${part}]`;
      const plain = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(part) ? part : JSON.stringify(part);
      return at === 0 ? plain : `.${plain}`;
    })
    .join('');
}
