/** Waiting for what happens elsewhere: in another process, or in the kernel. */

/** Tries until `attempt` does not throw; gives up with what was awaited, and the last failure. */
export async function eventually<T>(attempt: () => Promise<T> | T, limitMs: number, awaited: () => string): Promise<T> {
  const until = performance.now() + limitMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > until) throw new Error(`waited ${limitMs} ms for ${awaited()}`, { cause: error });
      await new Promise((next) => setTimeout(next, 20));
    }
  }
}
