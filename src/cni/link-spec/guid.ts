/** The GUID that an InfiniBand VF is to have. */
import type { ConfigProblem, NetworkConfig } from '../config.ts';

const GUID = /^([0-9a-f]{2}:){7}[0-9a-f]{2}$/;
/** What ib-sriov-cni takes for "none is asked for". */
const ANY_GUID = 'ff:ff:ff:ff:ff:ff:ff:ff';

/** What the pod asked for before what ib-kubernetes chose. */
export function guidOf(config: NetworkConfig, problems: ConfigProblem[]): string | undefined {
  const sources = [
    { path: 'runtimeConfig.infinibandGUID', text: config.runtimeConfig?.infinibandGUID },
    { path: 'args.cni.guid', text: config.args?.cni?.guid },
  ];
  for (const { path, text } of sources) {
    if (text === undefined || text === '') continue;
    const guid = text.toLowerCase().replaceAll('-', ':');
    if (guid === ANY_GUID) continue;
    if (GUID.test(guid)) return guid;
    problems.push({ path, message: `${JSON.stringify(text)} is no GUID, eight hexadecimal bytes with colons` });
  }
  return undefined;
}
