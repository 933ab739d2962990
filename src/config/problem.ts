/** What is wrong with a configuration file. The shape is the stable output of `berth lint -o json`. */
export interface ConfigProblem {
  /** Where in the document, `pools[1].capacity`; empty for the whole. */
  readonly path: string;
  /** First line is 1; absent when the file could not be read. */
  readonly line?: number;
  readonly message: string;
  readonly hint?: string;
}

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
