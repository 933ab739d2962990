/**
 * Pools that stand for one resource on each uplink: `{uplink}` in the resource's name is replaced by
 * the interface name. Evaluation begins with this, so the resources come and go with the uplinks.
 */
import type { LinkIndex } from './links.ts';
import type { PoolSpec, SlotPoolSpec } from './model.ts';
import { decideUplink } from './uplinks.ts';

/** What stands for the uplink's name. */
export const UPLINK_PLACEHOLDER = '{uplink}';

/**
 * The specs as they apply to this node. A name that is there already, written out or from an earlier
 * pool, is not made again.
 */
export function expandSpecs(specs: readonly PoolSpec[], index: LinkIndex): readonly PoolSpec[] {
  if (!specs.some(isTemplate)) return specs;
  const taken = new Set(specs.map(({ resource }) => resource));
  return specs.flatMap((spec): readonly PoolSpec[] => {
    if (!isTemplate(spec)) return [spec];
    const { perUplink: _perUplink, ...rest } = spec;
    return [...index.links.values()].flatMap((link): readonly PoolSpec[] => {
      const resource = spec.resource.replaceAll(UPLINK_PLACEHOLDER, resourcePart(link.netdev.ifname));
      if (taken.has(resource) || !decideUplink(spec, link, index).takes) return [];
      taken.add(resource);
      return [{ ...rest, resource, uplinks: [{ names: [link.netdev.ifname] }] }];
    });
  });
}

function isTemplate(spec: PoolSpec): spec is SlotPoolSpec & { readonly perUplink: true } {
  return spec.kind !== 'vf' && spec.perUplink === true;
}

/** Interface names may have characters that names of resources may not, and begin with them. */
function resourcePart(ifname: string): string {
  return ifname.replaceAll(/[^A-Za-z0-9_.-]/g, '-').replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '') || 'uplink';
}
