/**
 * The taint that keeps pods away from a node until its devices are registered. Whoever makes nodes
 * sets it (`kubelet --register-with-taints`); the agent takes it off once, when it serves.
 */
import type { ClusterApi } from './api.ts';
import type { Retry } from './retry.ts';

export const STARTUP_TAINT = 'berth.dev/agent-not-ready';

/** Ends when the taint is off, whoever took it, or the signal aborts. Never throws. Answers whether it is off. */
export async function removeStartupTaint(
  api: Pick<ClusterApi, 'readTaints' | 'removeTaint'>,
  node: string,
  retry: Retry,
  signal: AbortSignal,
): Promise<boolean> {
  return retry.until(`removing the taint ${STARTUP_TAINT}`, signal, async () => {
    for (;;) {
      // Two with the same key and other effects are two taints.
      const at = (await api.readTaints(node, signal)).findIndex(({ key }) => key === STARTUP_TAINT);
      if (at < 0) return;
      await api.removeTaint(node, at, STARTUP_TAINT, signal);
    }
  });
}
