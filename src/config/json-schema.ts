/**
 * The configuration file's shape as JSON Schema (draft 2020-12), for editors and for checks before
 * a file reaches a node. It is made from the schema that the agent itself uses, with the words of
 * key-words.ts. What only a look at several fields together tells is left to `berth lint`.
 */
import { z } from 'zod';
import { KEY_WORDS } from './key-words.ts';
import { configSchema } from './schema.ts';

/** The schema's name among others; an editor is given the file itself. */
export const SCHEMA_ID = 'https://berth.dev/schema/berth-config.schema.json';

/** The parts of JSON Schema that the file's shape needs. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
}

/** Plain data, ready for `JSON.stringify`. */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...shape } = z.toJSONSchema(configSchema, { io: 'input' });
  const described = withWords(shape as JsonSchema, '');
  return {
    ...{ $schema, $id: SCHEMA_ID, title: 'Configuration of Berth' },
    ...described,
  };
}

/** Every key that the schema has, in its order, by the paths of `KEY_WORDS`. */
export function* schemaKeys(schema: JsonSchema, path = ''): Generator<readonly [string, JsonSchema]> {
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    const at = path === '' ? key : `${path}.${key}`;
    yield [at, value];
    yield* schemaKeys(value, at);
  }
  if (schema.items !== undefined) yield* schemaKeys(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === 'object') yield* schemaKeys(schema.additionalProperties, `${path}.*`);
}

function withWords(schema: JsonSchema, path: string): JsonSchema {
  const { additionalProperties, items, properties } = schema;
  const inside = (key: string) => (path === '' ? key : `${path}.${key}`);
  return {
    ...schema,
    ...wordsOf(path, schema),
    ...(items === undefined ? {} : { items: withWords(withPattern(items, path), `${path}[]`) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([key, value]) => [key, withWords(value, inside(key))]),
          ),
        }),
    ...(typeof additionalProperties === 'object'
      ? { additionalProperties: withWords(additionalProperties, `${path}.*`) }
      : {}),
  };
}

function wordsOf(path: string, schema: JsonSchema = {}): Partial<JsonSchema> {
  const words = KEY_WORDS[path];
  if (words === undefined) return {};
  const { absent, examples, meaning, pattern, standard } = words;
  return {
    description: absent === undefined ? meaning : `${meaning} When absent: ${absent}.`,
    ...(standard === undefined ? {} : { default: standard }),
    ...(examples === undefined ? {} : { examples }),
    ...(pattern === undefined || schema.type !== 'string' ? {} : { pattern }),
  };
}

/** The pattern of a list is that of its texts. */
function withPattern(items: JsonSchema, path: string): JsonSchema {
  const pattern = KEY_WORDS[path]?.pattern;
  return pattern === undefined || items.type !== 'string' ? items : { ...items, pattern };
}
