/** What was typed, in words: one chunk of a terminal's input may hold several keys. */

export type Key = { readonly kind: 'text'; readonly text: string } | { readonly kind: (typeof NAMED)[number][1] };

/** Longest first: an escape alone is the beginning of the others. */
const NAMED = [
  ['\u001b[5~', 'page-up'],
  ['\u001b[6~', 'page-down'],
  ['\u001b[1~', 'home'],
  ['\u001b[4~', 'end'],
  ['\u001b[A', 'up'],
  ['\u001b[B', 'down'],
  ['\u001b[H', 'home'],
  ['\u001b[F', 'end'],
  ['\u001bOA', 'up'],
  ['\u001bOB', 'down'],
  ['\u001b', 'escape'],
  ['\r', 'enter'],
  ['\n', 'enter'],
  ['\u007f', 'backspace'],
  ['\b', 'backspace'],
  ['\u0003', 'quit'],
  ['\u0004', 'quit'],
] as const;

/** Sequences that nothing is bound to are left out whole. */
export function keysIn(chunk: string): readonly Key[] {
  const keys: Key[] = [];
  for (let rest = chunk; rest !== ''; ) {
    const named = NAMED.find(([sequence]) => rest.startsWith(sequence));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what terminals send
    const unknown = /^\u001b(?:\[[0-9;?]*[ -/]*[@-~]|O.)/.exec(rest)?.[0];
    if (named !== undefined && (named[1] !== 'escape' || unknown === undefined)) {
      keys.push({ kind: named[1] });
      rest = rest.slice(named[0].length);
    } else if (unknown !== undefined) rest = rest.slice(unknown.length);
    else {
      const [character = ''] = rest;
      if (character >= ' ') keys.push({ kind: 'text', text: character });
      rest = rest.slice(character.length);
    }
  }
  return keys;
}
