/** Where the agent's files are: flags and environment first, then the configuration file, then the defaults. */
import { join } from 'node:path';
import type { AgentOptions } from '../cli/port.ts';
import type { ConfigPaths } from '../config/index.ts';
import { type KubeletPaths, kubeletPaths } from '../kubelet/index.ts';

export interface AgentPaths {
  readonly runDir: string;
  readonly lock: string;
  readonly cniSocket: string;
  readonly apiSocket: string;
  readonly records: string;
  readonly addresses: string;
  readonly spool: string;
  readonly deviceInfoDir: string;
  readonly cdiDir: string;
  readonly offeredResources: string;
  readonly kubelet: KubeletPaths;
}

/** The table "Files on a node" in docs/architecture.md. */
export function agentPaths(options: AgentOptions, file: ConfigPaths): AgentPaths {
  const runDir = options.runDir ?? file.runDir ?? '/run/berth';
  const stateDir = options.stateDir ?? file.stateDir ?? '/var/lib/berth';
  return {
    runDir,
    lock: join(runDir, 'agent.lock'),
    cniSocket: join(runDir, 'cni.sock'),
    apiSocket: join(runDir, 'api.sock'),
    records: join(runDir, 'attachments'),
    addresses: join(stateDir, 'addresses'),
    spool: join(stateDir, 'spool'),
    deviceInfoDir: options.deviceInfoDir ?? file.deviceInfoDir ?? '/var/run/k8s.cni.cncf.io/devinfo',
    cdiDir: options.cdiDir ?? file.cdiDir ?? '/var/run/cdi',
    offeredResources: join(runDir, 'offered-resources.json'),
    kubelet: kubeletPaths(options.kubeletDir ?? file.kubeletDir ?? '/var/lib/kubelet'),
  };
}
