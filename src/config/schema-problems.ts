/** A schema's issues as problems that say where, what and what instead. */
import { z } from 'zod';
import { suggest } from '../engine/suggest.ts';
import type { LocatedDocument } from './document.ts';
import type { ConfigProblem, DocumentPath } from './problem.ts';

/** All issues of the schema with the document. */
export function schemaProblems(
  schema: z.ZodType,
  document: LocatedDocument,
  issues: readonly z.core.$ZodIssue[],
): readonly ConfigProblem[] {
  return issues.flatMap((issue) => problemsOf(schema, document, issue));
}

function problemsOf(schema: z.ZodType, document: LocatedDocument, issue: z.core.$ZodIssue): readonly ConfigProblem[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysAt(schema, path);
      return issue.keys.map((key) =>
        document.problem([...path, key], `unknown key ${JSON.stringify(key)}`, suggest(key, known), true),
      );
    }
    case 'invalid_type':
      return [document.problem(path, wrongType(issue.expected, valueAt(document.value, path)))];
    case 'invalid_value': {
      const options = issue.values.map(String);
      const value = valueAt(document.value, path);
      if (value === undefined) return [document.problem(path, `required: one of ${options.join(', ')}`)];
      const hint = typeof value === 'string' ? suggest(value, options) : undefined;
      return [document.problem(path, `${JSON.stringify(value)} is not one of ${options.join(', ')}`, hint)];
    }
    case 'too_small':
      if (issue.origin === 'array')
        return [document.problem(path, 'the list is empty', 'leave the key out to mean all')];
      return [document.problem(path, `${String(valueAt(document.value, path))} is less than ${issue.minimum}`)];
    case 'too_big':
      return [document.problem(path, `${String(valueAt(document.value, path))} is more than ${issue.maximum}`)];
    case 'invalid_key':
      return [document.problem(path, issue.issues[0]?.message ?? issue.message, undefined, true)];
    default:
      return [document.problem(path, issue.message)];
  }
}

function wrongType(expected: string, value: unknown): string {
  const wanted = NOUNS[expected] ?? `a ${expected}`;
  return value === undefined ? `required: ${wanted}` : `${wanted} is expected, not ${describe(value)}`;
}

const NOUNS: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
  string: 'a text',
  boolean: 'true or false',
  number: 'a number',
  int: 'a whole number',
};

function describe(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? `the text ${JSON.stringify(value)}` : String(value);
}

/** The value at a path of the document; `undefined` where there is none. */
export function valueAt(value: unknown, path: DocumentPath): unknown {
  let at: unknown = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = Object.getOwnPropertyDescriptor(at, part)?.value;
  }
  return at;
}

/** Keys that the schema has at the path. */
function keysAt(schema: z.ZodType, path: DocumentPath): readonly string[] {
  let at: unknown = schema;
  for (const part of path) {
    at = unwrap(at);
    if (at instanceof z.ZodObject) at = at.shape[part];
    else if (at instanceof z.ZodArray) at = at.element;
    else if (at instanceof z.ZodRecord) at = at.valueType;
    else return [];
  }
  at = unwrap(at);
  return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema;
}
