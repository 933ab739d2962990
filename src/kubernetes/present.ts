/** Objects of the API as they are written and read: an absent fact has no key. */

type Present<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Without the keys that have no value. */
export function present<T extends object>(facts: T): Present<T> {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as Present<T>;
}
