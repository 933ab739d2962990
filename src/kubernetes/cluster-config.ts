/** Which cluster, as whom: a kubeconfig or the service account of the pod, through the client library. */
import { KubeConfig } from '@kubernetes/client-node';
import { BerthError } from '../engine/errors.ts';

/** The agent's: `kubeconfig`, or the service account of its pod. Throws `Invalid` (`kubeconfig-unusable`). */
export function agentConfig(kubeconfig: string | undefined): KubeConfig {
  const remedy =
    kubeconfig === undefined
      ? 'Let the pod mount its service account token (automountServiceAccountToken), or name a file with --kubeconfig.'
      : 'Compare with `kubectl --kubeconfig FILE get nodes`.';
  return load(kubeconfig ?? "the pod's service account", remedy, (config) => {
    if (kubeconfig === undefined) config.loadFromCluster();
    else config.loadFromFile(kubeconfig);
  });
}

/**
 * A person's: as kubectl looks for it (KUBECONFIG, `~/.kube/config`, then the service account of the
 * pod), with the context that the file names or another. Throws `Invalid` (`kubeconfig-unusable`).
 */
export function personConfig(kubeconfig: string | undefined, context: string | undefined): KubeConfig {
  const remedy =
    'Compare with `kubectl config get-contexts`; name a file with --kubeconfig, one of its contexts with --context.';
  return load(kubeconfig ?? 'the kubeconfig', remedy, (config) => {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
    // The library makes one up when it finds no file.
    if (config.getCurrentContext() === 'loaded-context') throw new Error('there is none');
    if (context === undefined) return;
    const names = config.getContexts().map(({ name }) => name);
    if (!names.includes(context))
      throw new Error(`it has no context ${JSON.stringify(context)}, but ${names.join(', ') || 'none'}`);
    config.setCurrentContext(context);
  });
}

function load(what: string, remedy: string, fill: (config: KubeConfig) => void): KubeConfig {
  const config = new KubeConfig();
  try {
    fill(config);
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new Error('it names no cluster');
    if (URL.parse(cluster.server)?.protocol.startsWith('http') !== true) {
      throw new Error(`${JSON.stringify(cluster.server)} is no address of a server`);
    }
    if (cluster.server.startsWith('http:') && cluster.skipTLSVerify !== true) {
      throw new Error(`${cluster.server} is plain HTTP, which takes insecure-skip-tls-verify: true in its entry`);
    }
  } catch (cause) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'kubeconfig-unusable',
      message: `${what} cannot be used to reach the API server: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy,
      cause,
    });
  }
  return config;
}
