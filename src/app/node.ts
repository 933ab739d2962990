/** Reading a node: live, or from a captured tree. For the agent, and for commands without one. */
import { inventoryDocument } from '../cli/inventory-document.ts';
import type { NodeAccess } from '../cli/port.ts';
import {
  type Config,
  type ConfigOptions,
  configJsonSchema,
  DEFAULT_CONFIG_FILE,
  readConfig,
  zeroConfig,
} from '../config/index.ts';
import type { NodeReader } from '../engine/inventory/port.ts';
import { inventoryView } from '../engine/inventory-view.ts';
import { evaluate } from '../engine/pools/evaluate.ts';
import { explain } from '../engine/pools/explain.ts';
import { NO_HOLDS } from '../engine/pools/holds.ts';
import type { PoolContext } from '../engine/pools/model.ts';
import { contextOfRunning, reportChange, reportNode, reportRunning } from '../engine/pools/plan-report.ts';
import { type ConfigProblem, isError, unknownDevice } from '../engine/view.ts';
import { liveFacts } from '../linux/facts/live.ts';
import { askMachine } from '../linux/facts/machine.ts';
import { createHostFacts } from '../linux/netlink/host-facts.ts';
import { createNodeReader } from '../linux/node-reader.ts';
import { createPciNames } from '../linux/sysfs/pci-ids.ts';
import { capture } from './captured.ts';
import { environmentOptions } from './configuration.ts';
import { readCounters } from './counters.ts';
import { reviewDefinitions } from './definitions.ts';
import { readSaved } from './saved-inventory.ts';

/** Only the live node has a kernel to ask; a tree has its own record of the kernel's answers. */
function factsOf(root: string) {
  return root === '/' ? { facts: liveFacts(createHostFacts()), machine: askMachine } : {};
}

/** `nodeName` as kubelet knows it; the host name when absent. */
export function openNode(root: string, nodeName?: string): NodeReader {
  return createNodeReader({
    root,
    names: createPciNames(),
    ...factsOf(root),
    ...(nodeName === undefined ? {} : { nodeName }),
  });
}

/** What the commands need when no agent runs. */
export const nodeAccess: NodeAccess = {
  inventory: async (root) => {
    const { inventory } = await contextOf(root);
    const { config } = await configOf(undefined);
    const plan = evaluate(config.pools, { ...NOTHING_HELD, inventory });
    return inventoryView(inventory, plan, {});
  },
  counters: async (root) => {
    const reader = openNode(root);
    return await readCounters(await reader.read(), reader);
  },
  linkCounters: async (root, links) => (await openNode(root).linkCounters?.(links)) ?? new Map(),
  saved: (path) => readSaved(path, async (root) => inventoryDocument(await nodeAccess.inventory(root))),
  plan: async ({ against, file, resourcePrefix, root, running }) => {
    const options = resourcePrefix === undefined ? {} : { resourcePrefix };
    if (running !== undefined && file === undefined && resourcePrefix === undefined) {
      return { ...reportRunning(running), problems: [] };
    }
    const { config, problems } = await configOf(file, options);
    // A file that cannot be used changes nothing, so there is nothing to compare.
    const isUsed = !problems.some(isError);
    if (running !== undefined && isUsed) return { ...reportChange(config.pools, running), problems };
    const inventory = running?.inventory ?? (await openNode(root).read());
    if (against === undefined || !isUsed) return { ...reportNode(config.pools, inventory), problems };
    const before = await configOf(against, options);
    const plan = evaluate(before.config.pools, { ...NOTHING_HELD, inventory });
    const report = reportChange(config.pools, { inventory, plan, attachments: [] });
    return { ...report, problems: [...problems, ...before.problems.map((problem) => inFile(against, problem))] };
  },
  explain: async ({ device, file, resourcePrefix, root, running }) => {
    const { config } = await configOf(file, resourcePrefix === undefined ? {} : { resourcePrefix });
    const context = running === undefined ? await contextOf(root) : contextOfRunning(running);
    const explanation = explain(config.pools, context, device);
    if (explanation === undefined) throw unknownDevice(device);
    return explanation;
  },
  lint: async (configPath, resourcePrefix) =>
    (await readConfig(configPath, false, resourcePrefix === undefined ? {} : { resourcePrefix })).problems,
  definitions: reviewDefinitions,
  configSchema: configJsonSchema,
  capture: (root, directory) => capture(root, directory, factsOf(root).facts),
};

const NOTHING_HELD = { heldDevices: NO_HOLDS.devices, uplinkUse: NO_HOLDS.uplinks };

async function contextOf(root: string): Promise<PoolContext> {
  return { ...NOTHING_HELD, inventory: await openNode(root).read() };
}

/** A broken configuration offers nothing, as in the agent; its problems come along. */
async function configOf(
  path: string | undefined,
  options: ConfigOptions = {},
): Promise<{ config: Config; problems: readonly ConfigProblem[] }> {
  const { config, problems } = await readConfig(path ?? DEFAULT_CONFIG_FILE, path === undefined, {
    ...environmentOptions(),
    ...options,
  });
  return { config: config ?? { ...zeroConfig(), pools: [] }, problems };
}

/** Problems of a second file say which. */
function inFile(file: string, problem: ConfigProblem): ConfigProblem {
  return { ...problem, message: `${file}: ${problem.message}` };
}
