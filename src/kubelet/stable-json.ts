/**
 * JSON as Go's encoding/json writes maps of maps of strings: keys sorted, and `<`, `>`, `&` and the
 * two line separators of Unicode escaped. Containers that compare or hash the text, and not only
 * parse it, see what the SR-IOV network device plugin gave them.
 */

/** Strings, and records of them to any depth. */
export type JsonRecord = string | { readonly [key: string]: JsonRecord };

const ESCAPED = /[<>&\u2028\u2029]/g;

/** The text; sorting is by UTF-16 code unit, which for keys in ASCII is Go's order. */
export function stableJson(value: JsonRecord): string {
  if (typeof value === 'string') return text(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${text(key)}:${stableJson(value[key] ?? '')}`);
  return `{${members.join(',')}}`;
}

function text(value: string): string {
  return JSON.stringify(value).replaceAll(
    ESCAPED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
