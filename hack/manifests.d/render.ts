/**
 * As much of kustomize as deploy/ uses: resources, components, and strategic merge patches by file.
 * Anything else in a kustomization.yaml is refused, so that nothing is left out in silence.
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

export interface RenderedObject extends JsonObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly [key: string]: Json };
}

/** Lists whose entries are told apart by one of their fields (the API's `patchMergeKey`). */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  ports: 'containerPort',
  volumeMounts: 'mountPath',
  volumes: 'name',
};

const KNOWN = ['apiVersion', 'kind', 'resources', 'components', 'patches'];

/** The objects that a folder with a kustomization.yaml gives. */
export function render(folder: string): readonly RenderedObject[] {
  return apply(folder, []);
}

function apply(folder: string, given: readonly RenderedObject[]): readonly RenderedObject[] {
  const path = join(folder, 'kustomization.yaml');
  const kustomization = parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const unknown = Object.keys(kustomization).filter((key) => !KNOWN.includes(key));
  if (unknown.length > 0) throw new Error(`${path}: ${unknown.join(', ')} is not supported here`);
  const {
    resources = [],
    components = [],
    patches = [],
  } = kustomization as {
    resources?: readonly string[];
    components?: readonly string[];
    patches?: readonly { readonly path: string }[];
  };
  let objects = [...given];
  for (const resource of resources) {
    const at = join(folder, resource);
    objects.push(...(statSync(at).isDirectory() ? render(at) : documents(at)));
  }
  for (const component of components) objects = [...apply(join(folder, component), objects)];
  for (const patch of patches) {
    for (const change of documents(join(folder, patch.path))) {
      const index = objects.findIndex((object) => idOf(object) === idOf(change));
      const target = objects[index];
      if (target === undefined) throw new Error(`${patch.path}: nothing to patch is called ${idOf(change)}`);
      objects[index] = merge(target, change) as RenderedObject;
    }
  }
  return objects;
}

function documents(path: string): readonly RenderedObject[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    if (document.errors[0] !== undefined) throw new Error(`${path}: ${document.errors[0].message}`);
    return document.toJS() as RenderedObject;
  });
}

function idOf({ kind, metadata }: RenderedObject): string {
  return `${kind} ${String(metadata.namespace ?? '')}/${metadata.name}`;
}

function merge(target: Json | undefined, change: Json, key = ''): Json {
  const by = MERGE_KEYS[key];
  if (Array.isArray(change)) {
    return by !== undefined && Array.isArray(target) ? mergeLists(target, change, by) : change;
  }
  if (!isObject(change) || !isObject(target)) return change;
  const merged: Record<string, Json> = { ...target };
  for (const [name, value] of Object.entries(change)) merged[name] = merge(target[name], value, name);
  return merged;
}

/** Changed entries come first, in the order of the change, as kustomize has it. */
function mergeLists(target: readonly Json[], change: readonly Json[], by: string): Json {
  const keyOf = (entry: Json): Json | undefined => (isObject(entry) ? entry[by] : undefined);
  const changed = change.map((entry) =>
    merge(
      target.find((other) => keyOf(other) === keyOf(entry)),
      entry,
    ),
  );
  const kept = target.filter((entry) => !change.some((other) => keyOf(other) === keyOf(entry)));
  return [...changed, ...kept];
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
