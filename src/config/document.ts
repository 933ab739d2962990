/**
 * Text of a YAML or JSON file as a value whose parts know their line. JSON is read by the YAML
 * parser, which it is a subset of, so both report alike. It knows no schema.
 */
import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseDocument,
  visit,
} from 'yaml';
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

/**
 * Syntax problems (all of them) or the document. A key that is there twice is a problem that hides no
 * others: the document comes along, with the last one's value. An empty text is an empty mapping.
 */
export function parseText(text: string): { document?: LocatedDocument; problems: readonly ConfigProblem[] } {
  if (Buffer.byteLength(text) > MAX_CONFIG_BYTES) {
    // A reader takes one byte more than the limit, and does not know how many follow.
    const message = `the file has ${Buffer.byteLength(text)} bytes or more; at most ${MAX_CONFIG_BYTES} are read`;
    return { problems: [{ path: '', message, hint: 'check that this is the configuration file' }] };
  }
  const lines = new LineCounter();
  const parsed = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'silent',
  });
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
    problems: repeatedKeys(parsed, lines),
  };
}

/** JSON and YAML readers disagree on which of them counts, so nobody can have meant it. */
function repeatedKeys(parsed: Document, lines: LineCounter): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  visit(parsed, {
    Map: (_key, map, ancestors) => {
      const seen = new Map<string, number>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        const line = lines.linePos(key.range?.[0] ?? 0).line;
        const before = seen.get(name);
        if (before === undefined) {
          seen.set(name, line);
          continue;
        }
        const path = formatPath([...pathOf([...ancestors, map]), name]);
        const message = `the key ${JSON.stringify(name)} is there already, on line ${before}`;
        problems.push({ path, line, message, hint: 'leave one of them out' });
      }
    },
  });
  return problems;
}

/** Keys and indexes that lead to the last of the nodes. */
function pathOf(nodes: readonly unknown[]): DocumentPath {
  return nodes.flatMap((node, at): DocumentPath => {
    const child = nodes[at + 1];
    if (isPair(node)) return isScalar(node.key) ? [String(node.key.value)] : [];
    return isSeq(node) && child !== undefined ? [node.items.indexOf(child)] : [];
  });
}

/** Where the value starts, or its key; for what is missing, its nearest parent. */
function offsetOf(parsed: Document, path: DocumentPath, atKey: boolean): number {
  const key = path.at(-1);
  if (atKey && key !== undefined) {
    const pair = pairAt(nodeAt(parsed, path.slice(0, -1)), key);
    if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
  }
  for (let length = path.length; length > 0; length--) {
    const node = nodeAt(parsed, path.slice(0, length));
    if (isNode(node) && node.range !== undefined && node.range !== null) return node.range[0];
  }
  return parsed.contents?.range?.[0] ?? 0;
}

function nodeAt(parsed: Document, path: DocumentPath): unknown {
  return path.reduce<unknown>((node, part) => {
    if (isSeq(node)) return node.items[Number(part)];
    return pairAt(node, part)?.value;
  }, parsed.contents);
}

/** Of a key that is there twice the last one, whose value counts. */
function pairAt(node: unknown, key: string | number): Pair | undefined {
  if (!isMap(node)) return undefined;
  return node.items.findLast((item) => isScalar(item.key) && String(item.key.value) === String(key));
}
