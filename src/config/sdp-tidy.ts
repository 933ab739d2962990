/**
 * Reads a `resourceList` document as the plugin's JSON decoder does (Go, encoding/json): keys in any
 * case, null as absent, unknown keys ignored. What it ignores becomes a warning, so that a misspelt
 * selector does not silently select everything. It changes a copy; paths stay those of the file.
 */

import { suggest } from '../engine/suggest.ts';
import type { LocatedDocument } from './document.ts';
import type { ConfigProblem, DocumentPath } from './problem.ts';
import { valueAt } from './schema-problems.ts';
import { RESOURCE_KEYS, type SdpDeviceType, SELECTORS, SELECTORS_OF_TYPE } from './sdp-schema.ts';

/** The tidied copy, whose problems still name places of the file, and the problems so far. */
export interface TidyDocument {
  readonly document: LocatedDocument;
  readonly problems: readonly ConfigProblem[];
}

/** Top-level keys besides `resourceList` are the caller's business; here they are left out. */
export function tidySdp(document: LocatedDocument): TidyDocument {
  const problems: ConfigProblem[] = [];
  const written = valueAt(document.value, ['resourceList']);
  // The SR-IOV operator writes it for a node that no policy selects.
  const resourceList = written === null ? [] : written;
  if (written === null) {
    const message = 'it is null, which is an empty list: no resource is offered';
    problems.push({ ...document.problem(['resourceList'], message, undefined, true), severity: 'warning' });
  }
  const value = {
    resourceList: Array.isArray(resourceList)
      ? resourceList.map((resource: unknown, at) => tidyResource(document, ['resourceList', at], resource, problems))
      : resourceList,
  };
  return {
    document: {
      value,
      problem: (path, message, hint, atKey) => document.problem(pathInFile(document, path), message, hint, atKey),
    },
    problems,
  };
}

/** A single selector is a list of one in the copy only. */
function pathInFile(document: LocatedDocument, path: DocumentPath): DocumentPath {
  const isInSelector = path[2] === 'selectors' && typeof path[3] === 'number';
  if (!isInSelector || Array.isArray(valueAt(document.value, path.slice(0, 3)))) return path;
  return path.toSpliced(3, 1);
}

function tidyResource(
  document: LocatedDocument,
  path: DocumentPath,
  value: unknown,
  problems: ConfigProblem[],
): unknown {
  const resource = tidyKeys(document, path, value, RESOURCE_KEYS, problems);
  if (!isMapping(resource)) return resource;
  // Empty texts are what the plugin calls its defaults.
  for (const key of ['resourcePrefix', 'deviceType']) if (resource[key] === '') delete resource[key];
  const type = isTypeOf(resource.deviceType) ? resource.deviceType : 'netDevice';
  return { ...resource, selectors: tidySelectors(document, path, resource.selectors, type, problems) };
}

function isTypeOf(type: unknown): type is SdpDeviceType {
  return typeof type === 'string' && Object.hasOwn(SELECTORS_OF_TYPE, type);
}

function tidySelectors(
  document: LocatedDocument,
  path: DocumentPath,
  value: unknown,
  type: SdpDeviceType,
  problems: ConfigProblem[],
): readonly unknown[] {
  const at = [...path, 'selectors'];
  const hint = '{} selects every device';
  if (value === undefined) {
    problems.push(document.problem(at, 'required: a selector, or a list of selectors', hint));
    return [];
  }
  if (!Array.isArray(value)) return [tidySelector(document, at, value, type, problems)];
  if (value.length === 0) problems.push(document.problem(at, 'the list is empty and selects nothing', hint));
  return value.map((selector: unknown, index) => tidySelector(document, [...at, index], selector, type, problems));
}

function tidySelector(
  document: LocatedDocument,
  path: DocumentPath,
  value: unknown,
  type: SdpDeviceType,
  problems: ConfigProblem[],
): unknown {
  const selector = tidyKeys(document, path, value, SELECTORS, problems);
  if (!isMapping(selector)) return selector;
  for (const [key, field] of Object.entries(selector)) {
    // To the plugin these ask for nothing.
    const asksForNothing = field === false || field === '' || (Array.isArray(field) && field.length === 0);
    const applies = SELECTORS_OF_TYPE[type].includes(key);
    if (!asksForNothing && !applies) {
      const message = `${key} is ignored: the plugin does not know it for deviceType ${type}`;
      const hint = `it has ${SELECTORS_OF_TYPE[type].join(', ')}`;
      problems.push({ ...document.problem([...path, key], message, hint, true), severity: 'warning' });
    }
    if (asksForNothing || !applies) delete selector[key];
  }
  return selector;
}

/** A copy with the keys' proper names, without nulls and unknown keys; what is no mapping stays what it is. */
export function tidyKeys(
  document: LocatedDocument,
  path: DocumentPath,
  value: unknown,
  known: readonly string[],
  problems: ConfigProblem[],
): unknown {
  if (!isMapping(value)) return value;
  const tidy: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    const name = known.includes(key) ? key : known.find((other) => other.toLowerCase() === key.toLowerCase());
    const at = [...path, key];
    if (name === undefined) {
      const message = `unknown key ${JSON.stringify(key)}, which is ignored`;
      problems.push({ ...document.problem(at, message, suggest(key, known), true), severity: 'warning' });
    } else if (name !== key && Object.hasOwn(value, name)) {
      problems.push(document.problem(at, `${key} and ${name} are the same key`, 'leave one of them out', true));
    } else {
      if (name !== key) {
        const message = `${key} is read as ${name}`;
        problems.push({ ...document.problem(at, message, undefined, true), severity: 'warning' });
      }
      if (field !== null) tidy[name] = field;
    }
  }
  return tidy;
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
