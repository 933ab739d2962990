/** `{ [key]: value }`, or nothing when there is no value: absent fields are left out, never `undefined`. */
export function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}
