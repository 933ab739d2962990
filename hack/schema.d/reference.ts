/** The reference page: a table of keys for each mapping of the configuration file. */
import type { JsonSchema } from '../../src/config/json-schema.ts';

const HEAD = `# Configuration reference

Every key of the configuration file in Berth's own form, made from the schema that the agent reads the file with (\`hack/schema\`). What the keys are for, and how they work together, is in [configuration.md](configuration.md). Editors check and complete the file with \`deploy/schema/berth-config.schema.json\`, which \`berth lint --print-schema\` prints too; in YAML the first line says so:

\`\`\`yaml
# yaml-language-server: $schema=/path/to/berth-config.schema.json
\`\`\`

Files in the forms of other plugins, which the agent reads as they are, are in [migrating.md](migrating.md). Keys that are not listed are refused. Lists have at least one item, except \`pools\`.
`;

/** The whole page. */
export function referencePage(schema: JsonSchema): string {
  return [HEAD, ...sectionsOf(schema, '')].join('\n');
}

/** A mapping's own table, then those of the mappings in it. */
function sectionsOf(schema: JsonSchema, path: string): readonly string[] {
  const keys = Object.entries(schema.properties ?? {});
  if (keys.length === 0) return [];
  const rows = keys.map(([key, value]) => {
    const required = schema.required?.includes(key) === true;
    const standard = required ? 'required' : value.default === undefined ? '' : `\`${JSON.stringify(value.default)}\``;
    return `| \`${key}\` | ${cell(typeOf(value))} | ${cell(standard)} | ${cell(meaningOf(value))} |`;
  });
  const table = ['| Key | Value | Default | Meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
  const title = path === '' ? '## The file' : `## \`${path}\``;
  const inner = keys.flatMap(([key, value]) => innerOf(value, path === '' ? key : `${path}.${key}`));
  return [`${title}\n\n${table}`, ...inner];
}

/** Through lists and mappings with free keys. */
function innerOf(schema: JsonSchema, path: string): readonly string[] {
  if (schema.items !== undefined) return innerOf(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === 'object') return innerOf(schema.additionalProperties, `${path}.<name>`);
  return sectionsOf(schema, path);
}

function meaningOf({ description = '', examples = [] }: JsonSchema): string {
  const shown = examples.map((example) => `\`${JSON.stringify(example)}\``).join(', ');
  return shown === '' ? description : `${description} Example: ${shown}.`;
}

function typeOf(schema: JsonSchema): string {
  const { additionalProperties, anyOf, enum: values, items, maximum, minimum, type } = schema;
  if (values !== undefined) return values.map((value) => `\`${String(value)}\``).join(', ');
  if (anyOf !== undefined) return anyOf.map(typeOf).join(' or ');
  if (items !== undefined) return `list of ${plural(typeOf(items))}`;
  if (typeof additionalProperties === 'object') return 'mapping with free keys';
  if (type === 'object') return 'mapping';
  if (type === 'string') return 'text';
  if (type === 'boolean') return '`true` or `false`';
  const range = minimum === undefined ? '' : ` from ${minimum} to ${maximum}`;
  return `${type === 'integer' ? 'whole number' : 'number'}${range}`;
}

function plural(type: string): string {
  if (type.startsWith('`')) return type;
  return type.replace(/^(mapping|text|whole number|number)/, '$1s');
}

/** A pipe would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
