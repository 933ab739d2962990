/** What commands print for programs: `-o json` and `-o yaml` of one document. */
import { stringify } from 'yaml';

/** Of a format that is for people `undefined`. Both are the same document, and end with a line feed. */
export function documentText(document: unknown, format: string): string | undefined {
  switch (format) {
    case 'json':
      return `${JSON.stringify(document, undefined, 2)}\n`;
    case 'yaml':
      return stringify(document, { aliasDuplicateObjects: false });
    default:
      return undefined;
  }
}
