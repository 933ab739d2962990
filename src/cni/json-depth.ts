/**
 * How deep a JSON text is nested. Reading one of any depth is no trouble, but whatever walks through
 * the value afterwards, or writes it again, would end in the middle of an operation.
 */

/** No network has so many levels; Go's encoding/json gives up at ten thousand. */
export const MOST_LEVELS = 1000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING: ReadonlySet<number> = new Set([0x5b, 0x7b]);
const CLOSING: ReadonlySet<number> = new Set([0x5d, 0x7d]);

/** Whether more than {@link MOST_LEVELS} lists and objects are open at once somewhere in the UTF-8 text. */
export function isTooDeep(json: Buffer): boolean {
  // Each level has a byte that opens it and one that closes it.
  if (json.length <= 2 * MOST_LEVELS) return false;
  let depth = 0;
  let isText = false;
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] ?? 0;
    if (isText) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) isText = false;
    } else if (byte === QUOTE) isText = true;
    else if (OPENING.has(byte)) {
      depth += 1;
      if (depth > MOST_LEVELS) return true;
    } else if (CLOSING.has(byte)) depth -= 1;
  }
  return false;
}
