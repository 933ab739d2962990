/**
 * Vital product data of a PCI function: part and serial number (PCI Local Bus Specification 3.0,
 * appendix I). The bytes come from the card's EEPROM and are often wrong: lengths are checked
 * before anything is taken, and what does not parse is left out.
 */

/** The kernel shows at most this much (include/linux/pci.h, PCI_VPD_MAX_SIZE). */
export const VPD_LIMIT_BYTES = 32_768;

/** The fields that the inventory shows. */
export interface VitalProductData {
  /** Keyword SN. */
  readonly serial?: string;
  /** Keyword PN. */
  readonly partNumber?: string;
}

const LARGE_RESOURCE = 0x80;
const TAG_READ_ONLY = 0x90;
const SMALL_END = 0x0f;

/** `undefined` when the bytes hold no read-only section. */
export function parseVpd(bytes: Uint8Array): VitalProductData | undefined {
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] ?? 0;
    if ((tag & LARGE_RESOURCE) === 0) {
      if (tag >> 3 === SMALL_END) return undefined;
      at += 1 + (tag & 7);
      continue;
    }
    const length = uint16(bytes, at + 1);
    const start = at + 3;
    if (length === undefined || start + length > bytes.length) return undefined;
    if (tag === TAG_READ_ONLY) return readFields(bytes.subarray(start, start + length));
    at = start + length;
  }
  return undefined;
}

function readFields(section: Uint8Array): VitalProductData {
  let serial: string | undefined;
  let partNumber: string | undefined;
  let at = 0;
  while (at + 3 <= section.length) {
    const keyword = String.fromCharCode(section[at] ?? 0, section[at + 1] ?? 0);
    const start = at + 3;
    const end = start + (section[at + 2] ?? 0);
    if (end > section.length) break;
    if (keyword === 'SN') serial ??= fieldText(section.subarray(start, end));
    if (keyword === 'PN') partNumber ??= fieldText(section.subarray(start, end));
    at = end;
  }
  return { ...(serial === undefined ? {} : { serial }), ...(partNumber === undefined ? {} : { partNumber }) };
}

/** Fields are ASCII, padded with blanks or NULs. */
function fieldText(bytes: Uint8Array): string | undefined {
  const text = Buffer.from(bytes)
    .toString('latin1')
    .replace(/[\0 ]+$/, '')
    .trim();
  return /^[\x20-\x7e]+$/.test(text) ? text : undefined;
}

function uint16(bytes: Uint8Array, at: number): number | undefined {
  const low = bytes[at];
  const high = bytes[at + 1];
  return low === undefined || high === undefined ? undefined : low | (high << 8);
}
