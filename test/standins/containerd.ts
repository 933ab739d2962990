/**
 * A containerd of the test's own, with its folders, socket and containers under one folder, in the
 * network namespace of the process that starts it: "the host's network" of its containers is that one.
 * Containers are described by a manifest's pod, and get exactly its mounts, capabilities and
 * environment. It is not a CRI: nobody restarts them, and probes are the test's work.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import type { ContainerSpec, PodSpec } from './manifests.ts';

/** What Docker's defaults give and a manifest's `drop: [ALL]` takes away. */
const DEFAULT_CAPABILITIES = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP'],
  ...['NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
];

export interface RunOptions {
  /** Where a hostPath lies on this machine; the path itself when absent. */
  readonly hostPath: (path: string) => string;
  /** Where a mount goes in the container. */
  readonly mountPath: (path: string) => string;
  readonly environment: Readonly<Record<string, string>>;
  /** Capabilities that the manifest adds and this container shall not have. */
  readonly without?: readonly string[];
}

export interface Container {
  /** What it has written so far. */
  log(): string;
  /** True until its first process has ended. */
  isRunning(): boolean;
  /** Executes a program in it; answers its output. Throws when it fails. */
  exec(...command: readonly string[]): string;
  /** Sends the signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface Containerd {
  /** Imports an image archive as `ctr images import` does. */
  importImage(archive: string): void;
  run(pod: PodSpec, container: ContainerSpec, options: RunOptions): Container;
  /** Ends everything that it started. */
  remove(): Promise<void>;
}

export function hasContainerd(): boolean {
  return ['containerd', 'ctr', 'runc'].every((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0);
}

export async function createContainerd(): Promise<Containerd> {
  const folder = mkdtempSync('/tmp/berth-d-');
  const socket = join(folder, 'c.sock');
  // Also the name of the control groups that runc makes.
  const namespace = `berth-test-${process.pid}`;
  writeFileSync(
    join(folder, 'config.toml'),
    [
      'version = 2',
      `root = "${folder}/root"`,
      `state = "${folder}/state"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      '[grpc]',
      `  address = "${socket}"`,
    ].join('\n'),
  );
  const logFile = join(folder, 'containerd.log');
  const daemon = spawn('containerd', ['--config', join(folder, 'config.toml')], {
    stdio: ['ignore', openSync(logFile, 'a'), openSync(logFile, 'a')],
  });
  const ctr = (...words: string[]): string =>
    execFileSync('ctr', ['--address', socket, '--namespace', namespace, ...words], { encoding: 'utf8', stdio: 'pipe' });
  await eventually(
    () => void ctr('version'),
    30_000,
    () => `containerd to answer\n${readFileSync(logFile, 'utf8')}`,
  );
  const running = new Set<() => Promise<void>>();
  let serial = 0;
  return {
    importImage: (archive) => void ctr('images', 'import', archive),
    run: (pod, container, options) => {
      const id = `berth-${process.pid}-${serial++}`;
      const output = join(folder, `${id}.log`);
      const child = spawn(
        'ctr',
        runWords(['--address', socket, '--namespace', namespace], id, pod, container, options),
        {
          stdio: ['ignore', openSync(output, 'a'), openSync(output, 'a')],
        },
      );
      const end = async (signal: NodeJS.Signals): Promise<void> => {
        running.delete(kill);
        if (child.exitCode !== null) return;
        const ended = once(child, 'exit');
        ctr('tasks', 'kill', '--signal', signal, id);
        await ended;
      };
      const kill = (): Promise<void> => end('SIGKILL');
      running.add(kill);
      let execs = 0;
      return {
        log: () => readFileSync(output, 'utf8'),
        isRunning: () => child.exitCode === null && child.signalCode === null,
        exec: (...command) => ctr('tasks', 'exec', '--exec-id', `${id}-${execs++}`, id, ...command),
        end,
      };
    },
    remove: async () => {
      for (const kill of [...running]) await kill();
      await stop(daemon);
      rmSync(folder, { recursive: true });
      for (const group of globSync(`/sys/fs/cgroup/{,*/}${namespace}`)) rmdirSync(group);
    },
  };
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null) return;
  const ended = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  await ended;
}

/** `ctr run` for the container as the manifest describes it. */
function runWords(
  connection: readonly string[],
  id: string,
  pod: PodSpec,
  { args, image, env, securityContext, volumeMounts }: ContainerSpec,
  { environment, hostPath, mountPath, without = [] }: RunOptions,
): string[] {
  if (!securityContext.capabilities.drop.includes('ALL')) throw new Error('the manifest does not drop ALL');
  const added = securityContext.capabilities.add.filter((name) => !without.includes(name));
  const mounts = volumeMounts.map((mount) => {
    const volume = pod.volumes.find(({ name }) => name === mount.name);
    const source = hostPath(volume?.hostPath?.path ?? `/config-maps/${volume?.configMap?.name}`);
    if (volume?.hostPath?.type !== 'Directory') mkdirSync(source, { recursive: true });
    const propagation = mount.mountPropagation === 'HostToContainer' ? 'rslave' : 'rprivate';
    const access = mount.readOnly === true ? 'ro' : 'rw';
    return `type=bind,src=${source},dst=${mountPath(mount.mountPath)},options=rbind:${propagation}:${access}`;
  });
  const variables = { ...Object.fromEntries(env.map(({ name, value = 'node-1' }) => [name, value])), ...environment };
  return [
    ...[...connection, 'run', '--rm'],
    ...(pod.hostNetwork ? ['--net-host'] : []),
    ...(securityContext.readOnlyRootFilesystem ? ['--read-only'] : []),
    ...(pod.securityContext.seccompProfile.type === 'RuntimeDefault' ? ['--seccomp'] : []),
    ...DEFAULT_CAPABILITIES.filter((name) => !added.includes(name)).flatMap((name) => ['--cap-drop', `CAP_${name}`]),
    ...added.filter((name) => !DEFAULT_CAPABILITIES.includes(name)).flatMap((name) => ['--cap-add', `CAP_${name}`]),
    ...mounts.flatMap((mount) => ['--mount', mount]),
    ...Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ...[image, id, '/usr/bin/berth', ...args],
  ];
}
