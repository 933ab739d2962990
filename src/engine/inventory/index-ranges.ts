/** Many VFs in few words. */

/** `0-3`, `7`: runs of indexes that follow each other, in order, each index once. */
export function indexRanges(indexes: Iterable<number>): readonly string[] {
  const ranges: { readonly first: number; last: number }[] = [];
  for (const index of [...new Set(indexes)].sort((one, other) => one - other)) {
    const range = ranges.at(-1);
    if (range !== undefined && index === range.last + 1) range.last = index;
    else ranges.push({ first: index, last: index });
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
}
