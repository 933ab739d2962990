/**
 * The environment and the configuration that Multus hands to a delegate, as recorded in
 * test/fixtures/exchanges: device keys, capabilities, repeated CNI_ARGS in an order of chance.
 */
import type { NetworkSelection, Pod } from './model.ts';

export interface DelegateCall {
  readonly command: 'ADD' | 'DEL' | 'CHECK';
  readonly pod: Pod;
  readonly containerId: string;
  readonly ifname: string;
  /** Empty in DELs for sandboxes that have ended. */
  readonly netns: string;
  readonly selection: NetworkSelection;
  /** The device that Multus gave this attachment, when the pod has one left. */
  readonly deviceId: string | undefined;
  /** The cached result, for DEL and CHECK. */
  readonly previousResult: Readonly<Record<string, unknown>> | undefined;
}

export interface DelegateOptions {
  /** Thin Multus is executed and repeats the arguments it inherited; thick is a daemon and does not. */
  readonly style: 'thin' | 'thick';
  readonly cniPath: string;
  /** The process's own environment that the plugin inherits. */
  readonly inherited: Readonly<Record<string, string>>;
  /** 0 to 1, decides the order of the repeated arguments. */
  readonly random: () => number;
}

export function delegateEnvironment(call: DelegateCall, options: DelegateOptions): Record<string, string> {
  return {
    ...options.inherited,
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_PATH: options.style === 'thin' ? `${options.cniPath}:${options.cniPath}` : options.cniPath,
    CNI_ARGS: delegateArgs(call, options),
  };
}

function delegateArgs(call: DelegateCall, options: DelegateOptions): string {
  const pod = [
    `K8S_POD_NAMESPACE=${call.pod.namespace}`,
    `K8S_POD_NAME=${call.pod.name}`,
    `K8S_POD_INFRA_CONTAINER_ID=${call.containerId}`,
    `K8S_POD_UID=${call.pod.uid}`,
  ];
  const inherited = [...pod, 'IgnoreUnknown=1'];
  // Go's iteration over a map begins anywhere.
  const start = Math.floor(options.random() * inherited.length);
  const rotated = [...inherited.slice(start), ...inherited.slice(0, start)];
  const requests =
    call.command === 'DEL'
      ? []
      : [
          ...(call.selection.mac === undefined ? [] : [`MAC=${call.selection.mac}`]),
          ...(call.selection.ips === undefined ? [] : [`IP=${call.selection.ips.join(',')}`]),
        ];
  return ['IgnoreUnknown=true', ...pod, ...(options.style === 'thin' ? rotated : []), ...requests].join(';');
}

/** Compact, with sorted keys, and no newline at its end. */
export function delegateConfig(call: DelegateCall): string {
  const { network, cniArgs } = call.selection;
  const runtimeConfig = runtimeConfigOf(call);
  const config: Record<string, unknown> = {
    name: network.name,
    ...network.config,
    ...(call.deviceId === undefined ? {} : { deviceID: call.deviceId, pciBusID: call.deviceId }),
    ...(Object.keys(runtimeConfig).length === 0 ? {} : { runtimeConfig }),
    ...(cniArgs === undefined ? {} : { args: { cni: cniArgs } }),
    ...(call.previousResult === undefined ? {} : { prevResult: call.previousResult }),
  };
  return JSON.stringify(sorted(config));
}

/** Only what `capabilities` declares. */
function runtimeConfigOf(call: DelegateCall): Record<string, unknown> {
  const { network, mac, ips } = call.selection;
  const capabilities = network.config.capabilities;
  const declared = (name: string): boolean =>
    typeof capabilities === 'object' && capabilities !== null && Reflect.get(capabilities, name) === true;
  const deviceInfo = `/var/run/k8s.cni.cncf.io/devinfo/cni/${network.namespace}-${network.name}-${call.containerId}_${call.ifname}`;
  return {
    ...(mac !== undefined && declared('mac') ? { mac } : {}),
    ...(ips !== undefined && declared('ips') ? { ips } : {}),
    ...(call.deviceId !== undefined && declared('deviceID') ? { deviceID: call.deviceId } : {}),
    ...(call.deviceId !== undefined && declared('CNIDeviceInfoFile') ? { CNIDeviceInfoFile: deviceInfo } : {}),
  };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
