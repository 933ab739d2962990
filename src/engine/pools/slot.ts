/** Device ids of slots: `<uplink>-<n>`, split at the last `-` (docs/architecture.md, Device ids). */
import type { MacvtapMode, Plan, SlotPoolSpec } from './model.ts';

/** The id of a slot of the pool; of a pool like macvtap-cni's, `<name>Mvp<n>`. */
export function slotId({ resource, slotIds }: SlotPoolSpec, uplink: string, slot: number): string {
  return slotIds === 'macvtap-cni'
    ? `${resource.slice(resource.indexOf('/') + 1)}Mvp${slot}`
    : formatSlot(uplink, slot);
}

export function formatSlot(uplink: string, slot: number): string {
  return `${uplink}-${slot}`;
}

/** The uplink's interface name and the number; `undefined` when the text is no slot. */
export function parseSlot(id: string): { readonly uplink: string; readonly slot: number } | undefined {
  const cut = id.lastIndexOf('-');
  const digits = id.slice(cut + 1);
  if (cut < 1 || !/^(0|[1-9][0-9]{0,5})$/.test(digits)) return undefined;
  return { uplink: id.slice(0, cut), slot: Number(digits) };
}

/** The uplink of a slot of a macvtap pool, whose id need not tell it, and the pool's mode. */
export function macvtapSlot(
  plan: Plan,
  id: string,
): { readonly uplink: string; readonly mode?: MacvtapMode } | undefined {
  for (const { spec, devices } of plan.pools) {
    if (spec.kind !== 'macvtap') continue;
    const uplink = devices.find((device) => device.id === id)?.uplink;
    if (uplink !== undefined) return { uplink, ...(spec.mode === undefined ? {} : { mode: spec.mode }) };
  }
  return undefined;
}
