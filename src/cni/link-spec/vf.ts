/** sriov: a VF and its settings on the PF. */
import type { PodIdentity, VfLinkSpec } from '../../engine/attachments/model.ts';
import { asPciAddress, type NetworkName, type PciAddress } from '../../engine/values.ts';
import { type ConfigProblem, invalidConfig, type NetworkConfig, unsupportedField } from '../config.ts';
import { CNI_CODES, CniFault } from '../errors.ts';
import { optional } from '../optional.ts';
import { guidOf } from './guid.ts';
import { deviceOf, type LinkSource, macOf, positive } from './source.ts';

const BITS_PER_MEGABIT = 1_000_000;

export async function parseVf(source: LinkSource, problems: ConfigProblem[]): Promise<VfLinkSpec> {
  const { config, args } = source;
  const device = vfDevice(source);
  const vlan = config.vlan;
  if (vlan === undefined || vlan === 0) {
    if (config.vlanQoS !== undefined && config.vlanQoS !== 0)
      problems.push({ path: 'vlanQoS', message: `${config.vlanQoS} needs a vlan other than 0` });
    if (config.vlanProto === '802.1ad')
      problems.push({ path: 'vlanProto', message: '802.1ad needs a vlan other than 0' });
  }
  const min = config.min_tx_rate;
  const max = requestedRate(config, problems) ?? config.max_tx_rate;
  if (min !== undefined && max !== undefined && max !== 0 && min > max) {
    problems.push({ path: 'min_tx_rate', message: `${min} is above max_tx_rate ${max}` });
  }
  return {
    kind: 'vf',
    device,
    ...optional('mac', macOf(config, args, problems)),
    ...optional('mtu', positive(config.mtu)),
    ...optional('vlan', vlan),
    ...optional('vlanQos', config.vlanQoS),
    ...optional('vlanProto', config.vlanProto),
    ...optional('minTxRateMbps', min),
    ...optional('maxTxRateMbps', max),
    ...optional('spoofCheck', config.spoofchk === undefined ? undefined : config.spoofchk === 'on'),
    ...optional('trust', config.trust === undefined ? undefined : config.trust === 'on'),
    ...optional('linkState', config.link_state),
    ...optional('guid', guidOf(config, problems)),
    ...optional('rdma', rdmaOf(source)),
  };
}

/**
 * Whether RDMA devices move along. sriov-cni never moves them, and rdma-cni, which may follow in a
 * chain, has to find them on the node: so only Berth's own type does it without being asked.
 */
function rdmaOf({ config, argv0 }: LinkSource): VfLinkSpec['rdma'] {
  if (config.rdmaIsolation !== undefined) return config.rdmaIsolation ? 'required' : undefined;
  return (config.type ?? argv0) === 'berth' ? 'where-exclusive' : undefined;
}

/** The VF that kubelet gave. Throws `CniFault` without one, and for what is none. */
export function vfDevice({ config, args, network }: LinkSource): PciAddress {
  const id = deviceOf(config);
  if (id === undefined) throw deviceMissing(args.pod, network);
  const device = asPciAddress(id);
  if (device === undefined) {
    throw invalidConfig([
      {
        path: 'deviceID',
        message: `${JSON.stringify(id)} is not the PCI address of a VF; does the resource of the NetworkAttachmentDefinition offer VFs?`,
      },
    ]);
  }
  return device;
}

/**
 * The capability `bandwidth` (CNI conventions; bits a second): what the pod sends is limited by the
 * NIC, in whole megabits, rounded down, and with the NIC's own burst. What it receives cannot be.
 */
function requestedRate(config: NetworkConfig, problems: ConfigProblem[]): number | undefined {
  const bandwidth = config.runtimeConfig?.bandwidth ?? undefined;
  if ((bandwidth?.ingressRate ?? 0) > 0) {
    throw unsupportedField(
      'runtimeConfig.bandwidth.ingressRate',
      bandwidth?.ingressRate,
      'a NIC limits what a VF sends, not what it receives',
    );
  }
  const rate = bandwidth?.egressRate ?? 0;
  if (rate === 0) return undefined;
  if (rate < BITS_PER_MEGABIT) {
    problems.push({
      path: 'runtimeConfig.bandwidth.egressRate',
      message: `${rate} bit/s is below 1 Mbit/s, the least that a VF can be limited to`,
    });
  }
  return Math.floor(rate / BITS_PER_MEGABIT);
}

/** Multus calls a plugin without any device when the pod has none left, and says nothing about it. */
function deviceMissing(pod: PodIdentity | undefined, network: NetworkName): CniFault {
  const who = pod === undefined ? 'the container' : `pod ${pod.namespace}/${pod.name}`;
  return new CniFault(CNI_CODES.invalidConfig, {
    reason: 'device-missing',
    message: `${who} was given no device for network ${network}: the call has no deviceID`,
    remedy:
      "Most likely the pod does not request the resource that the NetworkAttachmentDefinition names in k8s.v1.cni.cncf.io/resourceName, or has more attachments of it than it requests devices; it can also be that the definition names no resource. Request as many in the container's resources.limits.",
  });
}
