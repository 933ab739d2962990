/** A tar archive (POSIX ustar) whose bytes depend on its entries alone: no times, no users, sorted by path. */

export type TarEntry =
  | { readonly path: string; readonly kind: 'file'; readonly mode: number; readonly bytes: Buffer }
  | { readonly path: string; readonly kind: 'folder'; readonly mode: number }
  | { readonly path: string; readonly kind: 'link'; readonly target: string };

const BLOCK = 512;
const NAME_ROOM = 100;
const PREFIX_ROOM = 155;
const TYPE = { file: '0', link: '2', folder: '5' } as const;

/** Paths are relative, without `./` and without a slash at the end. Throws when one does not fit the format. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  const parts: Buffer[] = [];
  for (const entry of sorted) {
    const bytes = entry.kind === 'file' ? entry.bytes : Buffer.alloc(0);
    parts.push(header(entry, bytes.length), bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

/** Whether the format has room for an entry's path, and for the target of a link. */
export function fitsTar(entry: TarEntry): boolean {
  const path = entry.kind === 'folder' ? `${entry.path}/` : entry.path;
  return split(path) !== undefined && (entry.kind !== 'link' || Buffer.byteLength(entry.target) <= NAME_ROOM);
}

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const parts = split(entry.kind === 'folder' ? `${entry.path}/` : entry.path);
  if (parts === undefined) throw new Error(`${entry.path} is too long for a tar archive`);
  const { prefix, name } = parts;
  const text = (value: string, offset: number, room: number): void => {
    if (Buffer.byteLength(value) > room) throw new Error(`${JSON.stringify(value)} is too long for a tar archive`);
    block.write(value, offset);
  };
  const octal = (value: number, offset: number, room: number): void =>
    text(value.toString(8).padStart(room - 1, '0'), offset, room);
  text(name, 0, NAME_ROOM);
  octal(entry.kind === 'link' ? 0o777 : entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  // The checksum counts its own field as spaces.
  block.fill(' ', 148, 156);
  text(TYPE[entry.kind], 156, 1);
  if (entry.kind === 'link') text(entry.target, 157, NAME_ROOM);
  text('ustar\0' + '00', 257, 8);
  text(prefix, 345, PREFIX_ROOM);
  const sum = block.reduce((total, byte) => total + byte, 0);
  text(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
  return block;
}

/** At a slash, so that both halves have room; `undefined` where there is no such slash. */
function split(path: string): { readonly prefix: string; readonly name: string } | undefined {
  if (Buffer.byteLength(path) <= NAME_ROOM) return { prefix: '', name: path };
  const cut = path.indexOf('/', Buffer.byteLength(path) - NAME_ROOM - 1);
  // A folder's own slash separates nothing.
  if (cut < 0 || cut === path.length - 1 || Buffer.byteLength(path.slice(0, cut)) > PREFIX_ROOM) return undefined;
  return { prefix: path.slice(0, cut), name: path.slice(cut + 1) };
}
