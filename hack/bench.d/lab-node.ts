/**
 * The lab's machine as the place of a benchmark: what `private-node.ts` is for this machine. It is
 * booted for one benchmark and ends with it. One NIC with a VF for each side; the programs are those
 * of this machine, which the lab sees under the same paths.
 *
 * Without hardware virtualisation the machine is emulated, about twenty times slower, and evenly so
 * for none of its parts: only the ratios of one run say something.
 */
import { join } from 'node:path';
import { SIDES } from './measurement.ts';
import { outputOf } from './outer-process.ts';

const LAB = join(import.meta.dirname, '../lab');

/**
 * Runs a program as root of a freshly booted machine, in a mount namespace of its own, and resolves
 * with its standard output. Rejects when it exits with anything but 0, or when `signal` ended it; the
 * machine ends with it in any case.
 */
export async function runInLab(argv: readonly string[], signal: AbortSignal): Promise<string> {
  const machine = ['run', '--nics', '1', '--numa', '1', '--vfs', String(SIDES.length)];
  const args = [...machine, '--', 'unshare', '--mount', '--', ...argv];
  return await outputOf({ program: LAB, args, what: "the lab's machine" }, signal);
}
