/** `berth capture`: into a folder, or as an archive on standard output. */
import type { CaptureReport } from '../cli/port.ts';
import { BerthError } from '../engine/errors.ts';
import { ARCHIVED, captureArchive, captureTree } from '../linux/capture.ts';
import type { FactSource } from '../linux/facts/source.ts';

/** `directory` is `-` for standard output. Throws `Invalid` when that is a terminal. */
export async function capture(root: string, directory: string, facts?: FactSource): Promise<CaptureReport> {
  if (directory !== '-') return { ...(await captureTree(root, directory, facts)), readAs: directory };
  if (process.stdout.isTTY) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'capture-on-terminal',
      message: 'an archive is no text for a terminal',
      remedy: 'Lead it into a file: berth capture - >node.tar',
    });
  }
  const { archive, ...summary } = await captureArchive(root, facts);
  await new Promise<void>((resolve) => process.stdout.write(archive, () => resolve()));
  return { ...summary, readAs: ARCHIVED };
}
