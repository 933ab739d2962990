/** Podman with its CNI back end in a place for runtimes: one network, containers from busybox's files, nothing pulled. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientPlace } from './client-place.ts';

export interface Podman {
  /** Replaces the definition of the network. */
  define(definition: string): void;
  run(...words: readonly string[]): Promise<string>;
  /** The words of `podman run` from the name on, the root file system being the last. */
  container(name: string): readonly string[];
}

/** `network` is the name that the definition gives it; `environment` is what the plugins get. */
export function createPodman(
  place: ClientPlace,
  network: string,
  environment: Readonly<Record<string, string>>,
): Podman {
  const configuration = join(place.folder, 'containers.conf');
  writeFileSync(
    configuration,
    [
      '[containers]\ndefault_sysctls = []',
      '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nruntime = "runc"',
      `[network]\nnetwork_backend = "cni"\ncni_plugin_dirs = ["/opt/cni/bin"]\nnetwork_config_dir = "${place.folder}"`,
    ].join('\n'),
  );
  return {
    define: (definition) => writeFileSync(join(place.folder, `${network}.conflist`), definition),
    run: (...words) =>
      place.run(
        [
          ...['podman', '--root', '/run/podman/root', '--runroot', '/run/podman/runroot'],
          ...['--tmpdir', '/run/podman/tmp', '--storage-driver', 'vfs', ...words],
        ],
        { ...environment, CONTAINERS_CONF: configuration },
      ),
    container: (name) => [
      ...['--name', name, '--cgroup-parent', place.cgroup, '--network', network, '--rootfs', place.rootfs],
    ],
  };
}
