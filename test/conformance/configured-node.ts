/** One configuration on one machine: which devices each resource has, and what a container gets. For conformance tables. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../src/config/index.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import type { Plan, PoolSpec } from '../../src/engine/pools/model.ts';
import { createPoolSet } from '../../src/engine/pools/pool-set.ts';
import { Delivery } from '../../src/kubelet/delivery.ts';
import { createDeviceInfoFolder } from '../../src/kubelet/device-info.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { type Machine, withMachine } from '../trees/machines.ts';

/** The inventory of a machine's tree. */
export async function inventoryOf(machine: Machine): Promise<Inventory> {
  let inventory: Inventory | undefined;
  await withMachine(machine, async (dir) => {
    inventory = await createNodeReader({ root: dir }).read();
  });
  assert.ok(inventory);
  return inventory;
}

/** The pools of a document that has no problems at all. */
export function poolsOf(document: unknown): readonly PoolSpec[] {
  const { config, problems } = parseConfig(JSON.stringify(document, undefined, 1), 'f');
  assert.deepEqual(problems, []);
  assert.ok(config);
  return config.pools;
}

export function planOf(document: unknown, inventory: Inventory): Plan {
  return evaluate(poolsOf(document), { inventory, heldDevices: new Map(), uplinkUse: new Map() });
}

/** Device ids by resource. */
export function devicesOf(document: unknown, inventory: Inventory): Readonly<Record<string, readonly string[]>> {
  const { pools } = planOf(document, inventory);
  return Object.fromEntries(pools.map(({ spec, devices }) => [spec.resource, devices.map(({ id }) => id)]));
}

/** What a container gets that is given these devices of the document's first resource. */
export interface Given {
  readonly envs: Readonly<Record<string, string>>;
  /** Each with its permissions. */
  readonly nodes: readonly string[];
  /** Device-info files by name. */
  readonly files: Readonly<Record<string, unknown>>;
}

/** Every device that the kernel could offer to the node as a whole is there. */
export function give(document: unknown, inventory: Inventory, ids: readonly string[]): Given {
  const root = mkdtempSync(join(tmpdir(), 'berth-given-'));
  const pools = createPoolSet({ specs: poolsOf(document), inventory, log: silentLogger });
  const [state] = pools.plan().pools;
  assert.ok(state);
  const deviceInfo = createDeviceInfoFolder(root, silentLogger);
  const delivery = new Delivery({ pools, node: { has: () => true }, deviceInfo, log: silentLogger });
  try {
    const { envs, devices } = delivery.give(state, ids);
    return {
      envs,
      nodes: devices.map(({ hostPath, permissions }) => `${hostPath} ${permissions}`),
      files: filesBelow(join(root, 'dp')),
    };
  } finally {
    delivery.stop();
    pools.stop();
    rmSync(root, { recursive: true });
  }
}

function filesBelow(folder: string): Readonly<Record<string, unknown>> {
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder);
  return Object.fromEntries(names.map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8'))]));
}
