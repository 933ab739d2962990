/**
 * ib-sriov: a VF of an InfiniBand NIC, with a GUID in the place of a MAC. The partition key is set
 * in the fabric's subnet manager, by ib-kubernetes, which reads the definition too.
 */
import type { VfLinkSpec } from '../../engine/attachments/model.ts';
import { type ConfigProblem, type NetworkConfig, unsupportedField } from '../config.ts';
import { CNI_CODES, CniFault } from '../errors.ts';
import { optional } from '../optional.ts';
import { guidOf } from './guid.ts';
import { firstMac, type LinkSource, positive } from './source.ts';
import { vfDevice } from './vf.ts';

/** Sixteen bits; the uppermost says full member. */
const PKEY = /^0x[0-9a-fA-F]{1,4}$/;
/** What ib-kubernetes writes into the pod's network when it has told the subnet manager. */
const IB_KUBERNETES_STATE = 'mellanox.infiniband.app';
const CONFIGURED = 'configured';

export async function parseInfiniband(source: LinkSource, problems: ConfigProblem[]): Promise<VfLinkSpec> {
  const { config, args } = source;
  const device = vfDevice(source);
  const mac = firstMac(config, args);
  if (mac !== undefined) throw unsupportedField(mac.path, mac.text, 'an InfiniBand VF has a GUID, not a MAC');
  if (config.pkey !== undefined && config.pkey !== '' && !PKEY.test(config.pkey))
    problems.push({ path: 'pkey', message: `${JSON.stringify(config.pkey)} is no partition key, as in 0x7fff` });
  const guid = guidOf(config, problems);
  if (config.ibKubernetesEnabled === true) requireConfigured(config, guid);
  return {
    kind: 'vf',
    device,
    ...optional('mtu', positive(config.mtu)),
    ...optional('linkState', config.link_state),
    ...optional('guid', guid),
    ...(config.rdmaIsolation === true ? { rdma: 'required' as const } : {}),
  };
}

function requireConfigured(config: NetworkConfig, guid: string | undefined): void {
  const told: unknown = config.args?.cni?.[IB_KUBERNETES_STATE];
  if (told === CONFIGURED && guid !== undefined) return;
  throw new CniFault(CNI_CODES.tryAgain, {
    code: 'Busy',
    reason: 'infiniband-not-configured',
    message: `ibKubernetesEnabled is set, and ib-kubernetes has not configured the pod yet: ${
      told === CONFIGURED
        ? 'the call has no GUID'
        : `${IB_KUBERNETES_STATE} is ${told === undefined ? 'missing' : JSON.stringify(told)}`
    }`,
    remedy: 'The runtime tries again; if it lasts, look at the log of ib-kubernetes.',
  });
}
