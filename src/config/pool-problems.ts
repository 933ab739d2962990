/**
 * What no schema sees in `pools`: keys that do not fit the kind, names that meet, groups that are not
 * there. It looks at the raw value, so that problems elsewhere in the file do not hide these.
 */

import { suggest } from '../engine/suggest.ts';
import type { LocatedDocument } from './document.ts';
import { infoTarget } from './info-target.ts';
import { FUNCTION_KINDS, SLOT_KINDS } from './pool-schema.ts';
import type { ConfigProblem, DocumentPath } from './problem.ts';
import { valueAt } from './schema-problems.ts';
import { exclusiveKeys } from './selector-keys.ts';

/** Empty for a document whose `pools` are no list: the schema has told that. */
export function poolProblems(document: LocatedDocument): readonly ConfigProblem[] {
  const pools = valueAt(document.value, ['pools']);
  if (!Array.isArray(pools)) return [];
  const groups = keysOf(valueAt(document.value, ['uplinkGroups']));
  return [
    ...pools.flatMap((pool: unknown, at): readonly ConfigProblem[] => {
      const path = ['pools', at];
      return [
        ...misplacedKeys(document, path, pool),
        ...placeholder(document, path, pool),
        ...additionalInfoKeys(document, path, pool),
        ...selectorProblems(document, path, pool, groups),
      ];
    }),
    ...namesThatMeet(document, pools),
  ];
}

function namesThatMeet(document: LocatedDocument, pools: readonly unknown[]): readonly ConfigProblem[] {
  const names = new Map<string, { readonly name: string; readonly line: number | undefined }>();
  return pools.flatMap((pool, at): readonly ConfigProblem[] => {
    const name = valueAt(pool, ['name']);
    if (typeof name !== 'string') return [];
    const path = ['pools', at, 'name'];
    const variable = name.toUpperCase().replaceAll(/[-.]/g, '_');
    const before = names.get(variable);
    if (before === undefined) {
      names.set(variable, { name, line: document.problem(path, '').line });
      return [];
    }
    const message =
      before.name === name
        ? `the pool ${name} is there already, on line ${before.line}`
        : `${name} and ${before.name} (line ${before.line}) give containers the same environment variable, ${variable}`;
    return [document.problem(path, message, 'give one of them another name')];
  });
}

const FUNCTION_KEYS = ['selectors', 'additionalInfo', 'perPf'];
const SLOT_KEYS = ['uplinks', 'capacity'];

function misplacedKeys(document: LocatedDocument, path: DocumentPath, pool: unknown): readonly ConfigProblem[] {
  const kind = valueAt(pool, ['kind']);
  const isFunction = isOneOf(FUNCTION_KINDS, kind);
  if (!isFunction && !isOneOf(SLOT_KINDS, kind)) return [];
  const right = isFunction ? 'selectors' : 'uplinks';
  const wrong = [...(isFunction ? SLOT_KEYS : FUNCTION_KEYS), ...(kind === 'macvtap' ? [] : ['mode'])];
  return wrong
    .filter((key) => valueAt(pool, [key]) !== undefined)
    .map((key) => {
      const hint = key === 'mode' ? 'the mode of the others is part of the network' : `${kind} pools have ${right}`;
      return document.problem([...path, key], `${key} does not apply to kind ${kind}`, hint, true);
    });
}

function placeholder(document: LocatedDocument, path: DocumentPath, pool: unknown): readonly ConfigProblem[] {
  const name = valueAt(pool, ['name']);
  if (typeof name !== 'string' || !name.includes('{uplink}') || !isOneOf(FUNCTION_KINDS, valueAt(pool, ['kind']))) {
    return [];
  }
  const message = 'only pools of slots can be one resource on each uplink';
  return [document.problem([...path, 'name'], message, 'leave {uplink} out of the name')];
}

function additionalInfoKeys(document: LocatedDocument, path: DocumentPath, pool: unknown): readonly ConfigProblem[] {
  return keysOf(valueAt(pool, ['additionalInfo'])).flatMap((key): readonly ConfigProblem[] => {
    const target = infoTarget(key);
    if (typeof target !== 'string') return [];
    return [document.problem([...path, 'additionalInfo', key], target, undefined, true)];
  });
}

function selectorProblems(
  document: LocatedDocument,
  path: DocumentPath,
  pool: unknown,
  groups: readonly string[],
): readonly ConfigProblem[] {
  return (['selectors', 'uplinks'] as const).flatMap((list) => {
    const selectors = valueAt(pool, [list]);
    if (!Array.isArray(selectors)) return [];
    const field = list === 'selectors' ? 'pfGroups' : 'groups';
    return selectors.flatMap((selector: unknown, index): readonly ConfigProblem[] => {
      const at = [...path, list, index];
      const names = valueAt(selector, [field]);
      const unknown = (Array.isArray(names) ? names : []).flatMap((name: unknown, place): readonly ConfigProblem[] => {
        if (typeof name !== 'string' || groups.includes(name)) return [];
        const hint = groups.length === 0 ? 'uplinkGroups says what groups there are' : suggest(name, groups);
        return [document.problem([...at, field, place], `there is no group ${JSON.stringify(name)}`, hint)];
      });
      return [...exclusiveKeys(document, at, selector), ...unknown];
    });
  });
}

function isOneOf(list: readonly string[], value: unknown): boolean {
  return typeof value === 'string' && list.includes(value);
}

function keysOf(value: unknown): readonly string[] {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
}
