/** The `cni` section of the configuration file. */

/** What the CNI side does where the specification leaves a choice. */
export interface CniConfig {
  /** An ADD whose device kubelet did not give to the pod. */
  readonly allocation: 'enforce' | 'warn' | 'off';
  /** What makes STATUS fail, which makes a node NotReady when the network is its default one. */
  readonly statusFailsOn: readonly ('uplink' | 'devices' | 'addresses')[];
  /** The one folder in which network definitions may have log files; none when absent. */
  readonly logDir?: string;
}

/** Without an uplink no ADD succeeds; what is used up is freed again, and is no reason to empty a node. */
export const DEFAULT_CNI: CniConfig = { allocation: 'enforce', statusFailsOn: ['uplink'] };
