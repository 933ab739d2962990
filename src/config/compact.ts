/** From what a schema gives to what the engine's types say: absent keys instead of undefined values. */

/** The same without keys whose value is undefined. */
export function compact<T extends object>(value: { readonly [Key in keyof T]?: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
