/** `eth0`, `eth0#3`, `eth0#0,2-7,9`: a PF and which of its VFs, inclusive. */
import type { VfRange } from '../engine/pools/model.ts';

/** VF numbers have 16 bits (PCI Express, SR-IOV capability, TotalVFs). */
const MAX_VF = 65_535;

/** The parsed range, or what is wrong with it. The PF's name itself is judged by the caller. */
export function parseVfRange(text: string): VfRange | string {
  const cut = text.indexOf('#');
  if (cut === -1) return { pf: text };
  const pf = text.slice(0, cut);
  const ranges: [number, number][] = [];
  for (const part of text.slice(cut + 1).split(',')) {
    const match = /^([0-9]{1,9})(?:-([0-9]{1,9}))?$/.exec(part.trim());
    if (match === null)
      return `${JSON.stringify(part)} in ${JSON.stringify(text)} is neither a VF number nor a range of them`;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first) return `the range ${part.trim()} in ${JSON.stringify(text)} ends before it begins`;
    if (last > MAX_VF) return `VF ${last} in ${JSON.stringify(text)} is beyond ${MAX_VF}, the highest that can be`;
    ranges.push([first, last]);
  }
  return { pf, ranges };
}
