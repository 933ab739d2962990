/**
 * Netlink attributes (linux/netlink.h, struct nlattr): length, type, value, padding to four bytes.
 * Pure: no system call here. A reader sees every attribute, also the ones it does not know, and
 * each step moves at least four bytes on. Numbers are in host order, little-endian on our targets.
 */
import { BerthError } from '../../../engine/errors.ts';

const HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_F_NET_BYTEORDER = 0x4000;
const NLA_TYPE_MASK = 0x3fff;
/** nla_len has 16 bits. */
const MOST_VALUE_BYTES = 0xffff - HEADER_BYTES;

export interface Attribute {
  /** Without the flag bits. */
  readonly type: number;
  /** A view, not a copy. */
  readonly value: Buffer;
}

/** What the kernel's bytes should not look like; also what a reader throws for every truncation. */
export function malformed(what: string): BerthError {
  return new BerthError({
    code: 'Internal',
    reason: 'netlink-malformed',
    message: `netlink message cannot be read: ${what}`,
    op: 'netlink.decode',
  });
}

/** All attributes of a payload. Throws `netlink-malformed` when one leaves its bounds. */
export function readAttributes(bytes: Buffer): Attribute[] {
  const attributes: Attribute[] = [];
  for (let at = 0; at < bytes.length; ) {
    const attribute = readAttributeAt(bytes, at);
    attributes.push(attribute);
    at += align4(HEADER_BYTES + attribute.length);
  }
  return attributes;
}

/** The one attribute that begins at `at`. */
export function readAttributeAt(bytes: Buffer, at: number): AttributeView {
  return new AttributeView(bytes, at, attributeLengthAt(bytes, at));
}

/** With its header. Throws `netlink-malformed` when the attribute leaves the bounds of `bytes`. */
function attributeLengthAt(bytes: Buffer, at: number): number {
  if (at + HEADER_BYTES > bytes.length) throw malformed(`${bytes.length - at} bytes left, an attribute needs 4`);
  const length = u16At(bytes, at);
  if (length < HEADER_BYTES) throw malformed(`attribute of ${length} bytes, shorter than its header`);
  if (at + length > bytes.length) throw malformed(`attribute of ${length} bytes where ${bytes.length - at} are left`);
  return length;
}

/** Of the forty attributes of a link most are never looked at, and a view of memory is dear to make. */
class AttributeView implements Attribute {
  readonly type: number;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  constructor(bytes: Buffer, at: number, length: number) {
    this.type = attributeTypeAt(bytes, at);
    this.#bytes = bytes;
    this.#start = at + HEADER_BYTES;
    this.#end = at + length;
  }

  get value(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  get length(): number {
    return this.#end - this.#start;
  }
}

/** The type of the attribute at `at`, whatever its length says; the header must be within `bytes`. */
export function attributeTypeAt(bytes: Buffer, at: number): number {
  return u16At(bytes, at + 2) & NLA_TYPE_MASK;
}

/** Within `bytes`. By hand: a link has forty attributes, and `readUInt16LE` checks what is checked already. */
function u16At(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}

/** The value of the last attribute of that type, as the kernel's own parser takes it. */
export function findAttribute(attributes: readonly Attribute[], type: number): Buffer | undefined {
  for (let i = attributes.length - 1; i >= 0; i--) {
    const attribute = attributes[i];
    if (attribute?.type === type) return attribute.value;
  }
  return undefined;
}

/**
 * The attributes of a payload by type, the last of each, as the kernel's own parser takes them. Made
 * in one pass: a link has forty, of which twenty are asked for. Throws as {@link readAttributes}.
 */
export class AttributeIndex {
  readonly #bytes: Buffer;
  /** Where each type's header begins. */
  readonly #starts = new Map<number, number>();

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    for (let at = 0; at < bytes.length; ) {
      const length = attributeLengthAt(bytes, at);
      this.#starts.set(attributeTypeAt(bytes, at), at);
      at += align4(length);
    }
  }

  /** A view, not a copy. */
  get(type: number): Buffer | undefined {
    const at = this.#starts.get(type);
    return at === undefined
      ? undefined
      : this.#bytes.subarray(at + HEADER_BYTES, at + attributeLengthAt(this.#bytes, at));
  }

  u8(type: number): number | undefined {
    const at = this.#numberAt(type, 1);
    return at === undefined ? undefined : this.#bytes.readUInt8(at);
  }

  u32(type: number): number | undefined {
    const at = this.#numberAt(type, 4);
    return at === undefined ? undefined : this.#bytes.readUInt32LE(at);
  }

  s32(type: number): number | undefined {
    const at = this.#numberAt(type, 4);
    return at === undefined ? undefined : this.#bytes.readInt32LE(at);
  }

  text(type: number): string | undefined {
    const value = this.get(type);
    return value === undefined ? undefined : text(value);
  }

  #numberAt(type: number, bytes: number): number | undefined {
    const at = this.#starts.get(type);
    if (at === undefined) return undefined;
    const size = attributeLengthAt(this.#bytes, at) - HEADER_BYTES;
    if (size < bytes) throw tooShort(size, bytes);
    return at + HEADER_BYTES;
  }
}

export function align4(length: number): number {
  return (length + 3) & ~3;
}

function sized(value: Buffer, bytes: number): Buffer {
  if (value.length < bytes) throw tooShort(value.length, bytes);
  return value;
}

function tooShort(bytes: number, needed: number): BerthError {
  return malformed(`value of ${bytes} bytes where ${needed} are needed`);
}

export function u8(value: Buffer): number {
  return sized(value, 1).readUInt8(0);
}

export function u16(value: Buffer): number {
  return sized(value, 2).readUInt16LE(0);
}

/** In network order (`__be16`). */
export function be16(value: Buffer): number {
  return sized(value, 2).readUInt16BE(0);
}

export function u32(value: Buffer, at = 0): number {
  return sized(value, at + 4).readUInt32LE(at);
}

export function u64(value: Buffer): bigint {
  return sized(value, 8).readBigUInt64LE(0);
}

export function s32(value: Buffer): number {
  return sized(value, 4).readInt32LE(0);
}

/** Text up to its first NUL, which may be missing (NLA_STRING). */
export function text(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}

/** Writes attributes into one growing buffer; `AttributeWriter` does not own the bytes after `bytes()`. */
export class AttributeWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 512) {
    this.#buffer = Buffer.alloc(initialBytes);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written; a view that is valid until the next write or `clear`. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Forgets the content, keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  /** Room for `size` zero bytes, padded to four; answers where it begins. */
  reserve(size: number): number {
    const at = this.#length;
    const end = at + align4(size);
    if (end > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(end, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#buffer.fill(0, at, end);
    this.#length = end;
    return at;
  }

  /** The buffer to fill in what `reserve` made room for; invalid after the next `reserve`. */
  get memory(): Buffer {
    return this.#buffer;
  }

  /** Bytes without an attribute header: a family's own header. */
  raw(bytes: Uint8Array): this {
    const at = this.reserve(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  put(type: number, value: Uint8Array): this {
    const at = this.#header(type, value.length);
    this.#buffer.set(value, at);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#header(type, 1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#header(type, 2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  /** `__be16` */
  be16(type: number, value: number): this {
    const at = this.#header(type, 2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#header(type, 4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  s32(type: number, value: number): this {
    const at = this.#header(type, 4);
    this.#buffer.writeInt32LE(value, at);
    return this;
  }

  u64(type: number, value: bigint): this {
    const at = this.#header(type, 8);
    this.#buffer.writeBigUInt64LE(value, at);
    return this;
  }

  /** With the NUL that NLA_NUL_STRING asks for. */
  text(type: number, value: string): this {
    const bytes = Buffer.byteLength(value);
    const at = this.#header(type, bytes + 1);
    this.#buffer.write(value, at);
    return this;
  }

  /** Several numbers as one structure of `u32`. */
  words(type: number, values: readonly number[]): this {
    let at = this.#header(type, values.length * 4);
    for (const value of values) at = this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  nest(type: number, fill: (writer: this) => void): this {
    const start = this.reserve(HEADER_BYTES);
    fill(this);
    const length = this.#length - start;
    if (length > 0xffff) throw malformed(`nest ${type} of ${length} bytes`);
    this.#buffer.writeUInt16LE(length, start);
    this.#buffer.writeUInt16LE(type | NLA_F_NESTED, start + 2);
    return this;
  }

  #header(type: number, size: number): number {
    if (size > MOST_VALUE_BYTES) throw malformed(`value of ${size} bytes for attribute ${type}`);
    if ((type & (NLA_F_NESTED | NLA_F_NET_BYTEORDER)) !== 0) throw malformed(`attribute type ${type}`);
    const at = this.reserve(HEADER_BYTES + size);
    this.#buffer.writeUInt16LE(HEADER_BYTES + size, at);
    this.#buffer.writeUInt16LE(type, at + 2);
    return at + HEADER_BYTES;
  }
}
