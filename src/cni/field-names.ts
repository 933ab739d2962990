/**
 * The fields of a configuration under the names that Berth knows them by. Go's encoding/json, with
 * which the plugins that Berth stands in for read theirs, takes a key in any case (`vlanID`, `IPAM`)
 * and null as if the key were not there: a definition that works with them must not lose its VLAN
 * here. Keys that Berth does not know stay as they are.
 */
import { z } from 'zod';

type Json = Readonly<Record<string, unknown>>;

/** The fields of an object, or of each object of a list, by their names in lower case. */
type KnownFields = ReadonlyMap<string, { readonly name: string; readonly inside?: KnownFields }>;

const known = new WeakMap<z.core.$ZodType, KnownFields>();

/**
 * `fields` as `schema` names them, at every depth, and `more` names of the first level. Of a field
 * in several spellings its own counts, else the last, as in Go. What needs no change is handed back
 * as it is.
 */
export function withProperNames(schema: z.core.$ZodType, fields: Json, more: readonly string[] = []): Json {
  let names = known.get(schema);
  if (names === undefined) {
    names = knownFields(schema, more);
    known.set(schema, names);
  }
  return renamed(fields, names);
}

function knownFields(schema: z.core.$ZodType, more: readonly string[] = []): KnownFields {
  const fields = new Map<string, { name: string; inside?: KnownFields }>();
  for (const name of more) fields.set(name.toLowerCase(), { name });
  for (const [name, field] of Object.entries(objectIn(schema)?.shape ?? {})) {
    const inside = objectIn(field) === undefined ? undefined : knownFields(field);
    fields.set(name.toLowerCase(), inside === undefined ? { name } : { name, inside });
  }
  return fields;
}

/** Below what may be missing or null, and in lists. */
function objectIn(schema: z.core.$ZodType): z.ZodObject | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return objectIn(schema.unwrap());
  if (schema instanceof z.ZodArray) return objectIn(schema.element);
  return schema instanceof z.ZodObject ? schema : undefined;
}

function renamed(value: Json, names: KnownFields): Json {
  const fields = new Map<string, unknown>();
  let changed = false;
  for (const [key, given] of Object.entries(value)) {
    const field = names.get(key.toLowerCase());
    const name = field?.name ?? key;
    if (field !== undefined && given === null) {
      changed = true;
      continue;
    }
    const read = field?.inside === undefined ? given : inObjects(given, field.inside);
    if (name !== key || read !== given) changed = true;
    // Its own spelling counts wherever it stands.
    if (name !== key && (value[name] ?? null) !== null) continue;
    fields.set(name, read);
  }
  return changed ? Object.fromEntries(fields) : value;
}

function inObjects(value: unknown, names: KnownFields): unknown {
  if (Array.isArray(value)) {
    const read = value.map((entry) => inObjects(entry, names));
    return read.every((entry, at) => entry === value[at]) ? value : read;
  }
  if (typeof value !== 'object' || value === null) return value;
  return renamed(value as Json, names);
}
