/** The versions of the CNI specification, and what differs between them; pure data. */

/** Every released version, oldest first. The shim's VERSION answer lists the same (src/shim/shim.c). */
export const CNI_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof CNI_VERSIONS)[number];

/** What answers carry when the request names no version that is known. */
export const LATEST_CNI_VERSION: CniVersion = '1.1.0';
/** What a configuration without `cniVersion` means (CNI specification, "Section 1: Network configuration format"). */
export const DEFAULT_CNI_VERSION: CniVersion = '0.1.0';

export interface VersionTraits {
  /** CHECK exists. */
  readonly check: boolean;
  /** STATUS and GC exist. */
  readonly statusAndGc: boolean;
  /**
   * How results look: `ip4-ip6` has one address a family and no interfaces; `ips-versioned` has
   * `ips[].version`; `current` is that of 1.0.0 and 1.1.0.
   */
  readonly result: 'ip4-ip6' | 'ips-versioned' | 'current';
}

const TRAITS: Readonly<Record<CniVersion, VersionTraits>> = {
  '0.1.0': { check: false, statusAndGc: false, result: 'ip4-ip6' },
  '0.2.0': { check: false, statusAndGc: false, result: 'ip4-ip6' },
  '0.3.0': { check: false, statusAndGc: false, result: 'ips-versioned' },
  '0.3.1': { check: false, statusAndGc: false, result: 'ips-versioned' },
  '0.4.0': { check: true, statusAndGc: false, result: 'ips-versioned' },
  '1.0.0': { check: true, statusAndGc: false, result: 'current' },
  '1.1.0': { check: true, statusAndGc: true, result: 'current' },
};

export function traitsOf(version: CniVersion): VersionTraits {
  return TRAITS[version];
}

/** Versions match exactly: 1.2.0 is not served as 1.1.0. */
export function asCniVersion(text: string): CniVersion | undefined {
  return CNI_VERSIONS.find((version) => version === text);
}
