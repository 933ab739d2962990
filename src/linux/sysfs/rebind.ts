/** Takes a PCI function from its driver and gives it back (Documentation/ABI/testing/sysfs-bus-pci). */
import { readlink, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { BerthError } from '../../engine/errors.ts';
import type { PciAddress } from '../../engine/values.ts';

/** Throws `Io` (`rebind-failed`) when the kernel refuses; the function may be without a driver then. */
export async function rebind(address: PciAddress, driver: string, root = '/sys/bus/pci'): Promise<void> {
  try {
    const bound = await driverOf(`${root}/devices/${address}/driver`);
    if (bound !== undefined) await writeFile(`${root}/drivers/${bound}/unbind`, address);
    await writeFile(`${root}/drivers/${driver}/bind`, address);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BerthError({
      code: 'Io',
      reason: 'rebind-failed',
      message: `${address} could not be bound to ${driver} anew: ${why}`,
      remedy: 'Look at the kernel log; `driverctl` or `drivers_probe` in sysfs binds it by hand.',
      cause: error,
    });
  }
}

async function driverOf(link: string): Promise<string | undefined> {
  try {
    return basename(await readlink(link));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
