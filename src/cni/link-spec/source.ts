/**
 * What a link's configuration is read from, and the values that every kind takes the same way: each
 * from the first of runtimeConfig (what the pod asked for), CNI_ARGS (the same, from runtimes that
 * know no capabilities) and the configuration.
 */
import { asMacAddress, type MacAddress, type NetworkName } from '../../engine/values.ts';
import type { ConfigProblem, NetworkConfig } from '../config.ts';
import type { CniArgs } from '../environment.ts';

export interface LinkSource {
  readonly config: NetworkConfig;
  readonly args: CniArgs;
  /** The name under which the shim was executed: the type where the configuration has none. */
  readonly argv0: string;
  readonly network: NetworkName;
  /** The interface's name of an uplink that is called by another name of it; `undefined` when there is no such link. */
  readonly uplinkName: (name: string) => Promise<string | undefined>;
}

/** The device that kubelet gave, as Multus or the runtime hand it over. */
export function deviceOf(config: NetworkConfig): string | undefined {
  return [config.runtimeConfig?.deviceID, config.deviceID, config.pciBusID].find((id) => id !== undefined && id !== '');
}

export function firstMac(
  config: NetworkConfig,
  args: CniArgs,
): { readonly path: string; readonly text: string } | undefined {
  const sources = [
    { path: 'runtimeConfig.mac', text: config.runtimeConfig?.mac },
    { path: 'CNI_ARGS MAC', text: args.mac },
    { path: 'mac', text: config.mac },
  ];
  for (const { path, text } of sources) if (text !== undefined && text !== '') return { path, text };
  return undefined;
}

/** An Ethernet address that an interface can have. */
export function macOf(config: NetworkConfig, args: CniArgs, problems: ConfigProblem[]): MacAddress | undefined {
  const first = firstMac(config, args);
  if (first === undefined) return undefined;
  const mac = asMacAddress(first.text);
  if (mac === undefined || mac.length !== 17) {
    problems.push({
      path: first.path,
      message: `${JSON.stringify(first.text)} is no Ethernet address, six hexadecimal bytes as in 02:00:00:00:00:01`,
    });
    return undefined;
  }
  // The kernel refuses group addresses and all zeros for a link (is_valid_ether_addr, linux/etherdevice.h).
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1 || mac === '00:00:00:00:00:00') {
    problems.push({ path: first.path, message: `${mac} is a group address or zero, which no interface can have` });
    return undefined;
  }
  return mac;
}

/** One of some words; the other one when there is none. */
export function oneOf<T extends string, Otherwise extends T | undefined>(
  path: string,
  text: string | undefined,
  words: readonly T[],
  otherwise: Otherwise,
  problems: ConfigProblem[],
): T | Otherwise {
  if (text === undefined || text === '') return otherwise;
  const word = words.find((known) => known === text);
  if (word === undefined) problems.push({ path, message: `${JSON.stringify(text)} is none of ${words.join(', ')}` });
  return word ?? otherwise;
}

/** The reference plugins write 0 for "as it comes". */
export function positive(mtu: number | undefined): number | undefined {
  return mtu === 0 ? undefined : mtu;
}
