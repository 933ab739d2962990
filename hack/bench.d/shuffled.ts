/**
 * The same items in a random order. Whoever runs after a heavy program finds cold caches, and a
 * fixed or rotating order would always give that place to the same one.
 */
export function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
