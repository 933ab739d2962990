/** Names with wildcards, as configurations write them: `*` is any run of characters, `?` is one. */

/** True when the name fits the whole pattern. */
export function matchesGlob(pattern: string, name: string): boolean {
  // Greedy with one point of return: no pattern makes it slow, whoever wrote it.
  let at = 0;
  let returnTo = -1;
  let taken = 0;
  let here = 0;
  while (here < name.length) {
    if (pattern[at] === '*') {
      returnTo = at++;
      taken = here;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[here])) {
      at++;
      here++;
    } else if (returnTo >= 0) {
      at = returnTo + 1;
      here = ++taken;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}

/** True when the text has a wildcard. */
export function isGlob(text: string): boolean {
  return /[*?]/.test(text);
}
