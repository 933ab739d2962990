/**
 * PF-side settings of a VF (IFLA_VF_*): which were asked for, setting them one at a time so that a
 * refusal names its setting, and reading them back, because drivers apply some of them late.
 * MAC addresses are in vf-mac.ts: their order matters.
 */
import { z } from 'zod';
import type { VfLinkSpec } from '../attachments/model.ts';
import type { VfState as KernelVfState } from '../attachments/port.ts';
import { checkpoint } from '../cancellation.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { MacAddress, PciAddress } from '../values.ts';
import type { LinkContext } from './link-driver.ts';

/** What the kernel lists for one VF; absent is what the driver does not tell. */
export const vfSettings = z.object({
  mac: z
    .string()
    .transform((text) => text as MacAddress)
    .exactOptional(),
  vlan: z.number().int().exactOptional(),
  vlanQos: z.number().int().exactOptional(),
  vlanProto: z.enum(['802.1q', '802.1ad']).exactOptional(),
  minTxRateMbps: z.number().int().exactOptional(),
  maxTxRateMbps: z.number().int().exactOptional(),
  spoofCheck: z.boolean().exactOptional(),
  trust: z.boolean().exactOptional(),
  linkState: z.enum(['auto', 'enable', 'disable']).exactOptional(),
  nodeGuid: z.string().exactOptional(),
  portGuid: z.string().exactOptional(),
});

export type VfSettings = z.output<typeof vfSettings>;

/** Where a VF is set: the PF's netdev in the node's namespace, and the VF's index. */
export interface VfPlace {
  readonly device: PciAddress;
  readonly pfName: string;
  readonly pfIndex: number;
  readonly vf: number;
}

type Group = { readonly name: string; readonly set: VfSettings };

const READ_BACK_TRIES = 20;
const READ_BACK_MS = 50;

/** Throws `Invalid` when a VF's settings contradict the standard or each other. */
export function validateSettings(spec: VfLinkSpec): void {
  const problems: string[] = [];
  const integer = (name: string, value: number | undefined, low: number, high: number): void => {
    if (value !== undefined && !(Number.isInteger(value) && value >= low && value <= high))
      problems.push(`${name} ${value} is not in ${low} to ${high}`);
  };
  integer('vlan', spec.vlan, 0, 4094);
  integer('vlanQoS', spec.vlanQos, 0, 7);
  integer('min_tx_rate', spec.minTxRateMbps, 0, 2 ** 31 - 1);
  integer('max_tx_rate', spec.maxTxRateMbps, 0, 2 ** 31 - 1);
  if ((spec.vlanQos ?? 0) > 0 && (spec.vlan ?? 0) === 0) problems.push('vlanQoS needs a vlan other than 0');
  if (spec.vlanProto !== undefined && spec.vlanProto !== '802.1q' && (spec.vlan ?? 0) === 0)
    problems.push(`vlanProto ${spec.vlanProto} needs a vlan other than 0`);
  const { minTxRateMbps: min, maxTxRateMbps: max } = spec;
  if (min !== undefined && max !== undefined && max !== 0 && min > max)
    problems.push(`min_tx_rate ${min} is more than max_tx_rate ${max}`);
  if (problems.length === 0) return;
  throw new BerthError({
    code: 'Invalid',
    reason: 'vf-settings-invalid',
    message: `settings of VF ${spec.device}: ${problems.join('; ')}`,
    remedy: 'Correct the network configuration.',
  });
}

/** The settings that were asked for, without the MAC; what belongs together on the wire is completed from the baseline. */
export function wantedSettings(spec: VfLinkSpec, baseline: VfSettings | undefined): VfSettings {
  const rates = spec.minTxRateMbps !== undefined || spec.maxTxRateMbps !== undefined;
  const min = spec.minTxRateMbps ?? (rates && (baseline?.minTxRateMbps ?? 0) > 0 ? baseline?.minTxRateMbps : undefined);
  const max = spec.maxTxRateMbps ?? (rates ? baseline?.maxTxRateMbps : undefined);
  return {
    ...(spec.vlan === undefined
      ? {}
      : { vlan: spec.vlan, vlanQos: spec.vlanQos ?? 0, vlanProto: spec.vlanProto ?? '802.1q' }),
    ...(min === undefined ? {} : { minTxRateMbps: min }),
    ...(max === undefined ? {} : { maxTxRateMbps: max }),
    ...(spec.spoofCheck === undefined ? {} : { spoofCheck: spec.spoofCheck }),
    ...(spec.trust === undefined ? {} : { trust: spec.trust }),
    ...(spec.linkState === undefined ? {} : { linkState: spec.linkState }),
    ...(spec.guid === undefined ? {} : { nodeGuid: spec.guid, portGuid: spec.guid }),
  };
}

/** The settings in `wanted` that the kernel reports with another value, with both values. One it does not report at all is unknown, not wrong. */
export function differences(wanted: VfSettings, current: KernelVfState | undefined): string[] {
  return (Object.keys(wanted) as (keyof VfSettings)[])
    .filter(
      (name) =>
        wanted[name] !== undefined &&
        (current === undefined || current[name] !== undefined) &&
        differs(name, wanted, current),
    )
    .map((name) => `${name} is ${String(current?.[name] ?? 'not reported')}, not ${String(wanted[name])}`);
}

/**
 * Sets what differs from `current`, in the order VLAN, rates, spoof check, trust, link state.
 * Throws at the first refusal: `Unsupported` (`vf-setting-refused`) with the driver's own words.
 */
export async function applySettings(
  context: LinkContext,
  place: VfPlace,
  wanted: VfSettings,
  current: KernelVfState | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const group of groups(wanted)) {
    if (Object.keys(group.set).every((name) => !differs(name as keyof VfSettings, group.set, current))) continue;
    checkpoint(signal, `setting ${group.name} of VF ${place.device}`);
    await setGroup(context, place, group);
  }
}

/** Brings the settings back: trust, spoof check, rates, link state, VLAN. Every one is tried; answers what failed. */
export async function restoreSettings(
  context: LinkContext,
  place: VfPlace,
  baseline: VfSettings,
  current: KernelVfState | undefined,
): Promise<string[]> {
  const problems: string[] = [];
  const order = ['trust', 'spoof check', 'rates', 'link state', 'VLAN', 'GUID'];
  const { mac: _mac, ...settings } = baseline;
  for (const group of groups(settings).sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name))) {
    if (Object.keys(group.set).every((name) => !differs(name as keyof VfSettings, group.set, current))) continue;
    try {
      await setGroup(context, place, group);
    } catch (error) {
      problems.push(toBerthError(error).message);
    }
  }
  return problems;
}

/** Waits, a bounded while, until the kernel reports what was set; answers what still differs. */
export async function readBack(
  context: LinkContext,
  place: VfPlace,
  wanted: VfSettings,
  signal: AbortSignal,
): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    const left = differences(wanted, await context.kernel.host.vfSettings(place.pfIndex, place.vf));
    if (left.length === 0 || attempt === READ_BACK_TRIES || signal.aborted) return left;
    await context.clock.delay(READ_BACK_MS, signal);
  }
}

function differs(name: keyof VfSettings, wanted: VfSettings, current: KernelVfState | undefined): boolean {
  if (current?.[name] === wanted[name]) return false;
  // The protocol of no VLAN means nothing, and a VLAN without a reported protocol is 802.1Q.
  if (name === 'vlanProto') return (wanted.vlan ?? 0) !== 0 && (current?.vlanProto ?? '802.1q') !== wanted.vlanProto;
  if (name === 'vlanQos' || name === 'minTxRateMbps' || name === 'maxTxRateMbps')
    return (current?.[name] ?? 0) !== wanted[name];
  return true;
}

function groups(settings: VfSettings): Group[] {
  const { vlan, vlanQos, vlanProto, minTxRateMbps, maxTxRateMbps, spoofCheck, trust, linkState, nodeGuid, portGuid } =
    settings;
  const all: Group[] = [
    { name: 'VLAN', set: defined({ vlan, vlanQos, vlanProto }) },
    // One attribute carries both rates: a lone maximum leaves the minimum at 0.
    { name: 'rates', set: defined({ minTxRateMbps, maxTxRateMbps }) },
    { name: 'spoof check', set: defined({ spoofCheck }) },
    { name: 'trust', set: defined({ trust }) },
    { name: 'link state', set: defined({ linkState }) },
    { name: 'GUID', set: defined({ nodeGuid, portGuid }) },
  ];
  return all.filter((group) => Object.keys(group.set).length > 0);
}

function defined(fields: { [Name in keyof VfSettings]?: VfSettings[Name] | undefined }): VfSettings {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as VfSettings;
}

async function setGroup(context: LinkContext, place: VfPlace, group: Group): Promise<void> {
  try {
    await context.kernel.host.apply([{ op: 'vf.set', index: place.pfIndex, vf: place.vf, set: group.set }]);
  } catch (error) {
    throw refusal(error, place, `${group.name} ${JSON.stringify(group.set)}`);
  }
}

/** A driver's refusal with the VF, the PF and the setting named. */
export function refusal(error: unknown, place: VfPlace, what: string): BerthError {
  const failure = toBerthError(error);
  if (failure.code === 'Interrupted') return failure;
  return new BerthError({
    code:
      failure.code === 'Busy' || failure.code === 'Denied' || failure.code === 'NotFound'
        ? failure.code
        : 'Unsupported',
    reason: 'vf-setting-refused',
    message: `the driver of ${place.pfName} refused ${what} for VF ${place.device} (index ${place.vf}): ${failure.message}`,
    remedy: 'Remove the setting from the network configuration, or use a NIC whose driver supports it.',
    cause: failure,
    ...(failure.op === undefined ? {} : { op: failure.op }),
    ...(failure.errno === undefined ? {} : { errno: failure.errno }),
    ...(failure.extack === undefined ? {} : { extack: failure.extack }),
  });
}
