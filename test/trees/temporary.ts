/** A generated tree in a folder of its own, which goes away with the test. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateTree, type Tree, type TreeSpec } from './generate.ts';

/** A tree of 2,048 VFs has 60,000 entries, which a disk takes half a minute for. */
const MEMORY = '/dev/shm';

/** Runs `body` on a fresh tree and removes it, also when the body fails. */
export async function withTree(spec: TreeSpec, body: (tree: Tree) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'berth-node-'));
  try {
    await body(generateTree(dir, spec));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
