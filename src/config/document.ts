/**
 * Text of a YAML or JSON file as a value whose parts know their line. JSON is read by the YAML
 * parser, which it is a subset of, so both report alike. It knows no schema.
 */
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { type ConfigProblem, type DocumentPath, formatPath } from './problem.ts';

/** Far above any real file; it bounds what a mistake can make the agent read. */
export const MAX_CONFIG_BYTES = 1024 * 1024;

/** Aliases may expand a small file to a huge one. */
const MAX_ALIASES = 100;

export interface LocatedDocument {
  readonly value: unknown;
  /** A problem at a place of the document, with its line; of its key when `atKey`. */
  problem(path: DocumentPath, message: string, hint?: string, atKey?: boolean): ConfigProblem;
}

/** Syntax problems (all of them) or the document. An empty text is an empty mapping. */
export function parseText(text: string): { document?: LocatedDocument; problems: readonly ConfigProblem[] } {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    const message = `the file has ${Buffer.byteLength(text)} bytes; at most ${MAX_CONFIG_BYTES} are read`;
    return { problems: [{ path: '', message, hint: 'check that this is the configuration file' }] };
  }
  const lines = new LineCounter();
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: 'silent' });
  const problems = parsed.errors.map(({ pos, message }) => ({
    path: '',
    line: lines.linePos(pos[0]).line,
    message: message.replaceAll(/\s+/g, ' '),
  }));
  if (problems.length > 0) return { problems };
  let value: unknown;
  try {
    value = parsed.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
  } catch (error) {
    return { problems: [{ path: '', line: 1, message: error instanceof Error ? error.message : String(error) }] };
  }
  return {
    document: {
      value,
      problem: (path, message, hint, atKey = false) => ({
        path: formatPath(path),
        line: lines.linePos(offsetOf(parsed, path, atKey)).line,
        message,
        ...(hint === undefined ? {} : { hint }),
      }),
    },
    problems: [],
  };
}

/** Where the value starts, or its key; for what is missing, its nearest parent. */
function offsetOf(parsed: Document, path: DocumentPath, atKey: boolean): number {
  const key = path.at(-1);
  if (atKey && key !== undefined) {
    const parent = path.length === 1 ? parsed.contents : parsed.getIn(path.slice(0, -1), true);
    const pair = isMap(parent)
      ? parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
      : undefined;
    if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
  }
  for (let length = path.length; length > 0; length--) {
    const node = parsed.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range !== undefined && node.range !== null) return node.range[0];
  }
  return parsed.contents?.range?.[0] ?? 0;
}
