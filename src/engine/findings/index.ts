/**
 * Findings: what an expert would notice about a node, each with its evidence and what to do. The
 * rules are pure and look at one inventory; who shows it asks for them (`findingsOf`). To debug a
 * finding that is missing or wrong, run its rule on a captured tree (`berth inventory --root`).
 */
import type { Finding } from '../inventory/model.ts';
import { IOMMU_RULES } from './iommu.ts';
import { LINK_RULES } from './links.ts';
import { NODE_RULES } from './node.ts';
import { PCIE_RULES } from './pcie.ts';
import type { FindingContext, FindingRule } from './rule.ts';
import { SCALABLE_RULES } from './scalable.ts';
import { SRIOV_RULES } from './sriov.ts';
import { VF_SETTINGS_RULES } from './vf-settings.ts';

export type { FindingContext } from './rule.ts';

/** Where each rule has its section. */
const PAGE = 'docs/inventory.md';

/** All rules; a new one gets its section on the page. */
export const FINDING_RULES: readonly FindingRule[] = [
  ...IOMMU_RULES,
  ...LINK_RULES,
  ...SRIOV_RULES,
  ...SCALABLE_RULES,
  ...VF_SETTINGS_RULES,
  ...PCIE_RULES,
  ...NODE_RULES,
];

const ORDER = { error: 0, warning: 1, info: 2 } as const satisfies Record<Finding['severity'], number>;

/** What is to be known of the node, the worst first, then by rule. Never throws for any inventory. */
export function findingsOf(context: FindingContext): readonly Finding[] {
  return FINDING_RULES.flatMap(({ id, find }) =>
    find(context).map((noticed) => ({ id, ...noticed, reference: `${PAGE}#${id}` })),
  ).sort((one, other) => ORDER[one.severity] - ORDER[other.severity]);
}
