/** The shim's side of the protocol, as src/shim writes it: requests and spool entries for tests. */
export interface RequestParts {
  readonly environment: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly argv0?: string;
}

function section(tag: number, bytes: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(tag, 0);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

export function encodeRequestPayload(parts: RequestParts): Buffer {
  const environment = Object.entries(parts.environment)
    .map(([key, value]) => `${key}=${value}\0`)
    .join('');
  return Buffer.concat([
    section(1, Buffer.from(environment)),
    section(2, Buffer.from(parts.argv0 ?? 'berth')),
    section(3, Buffer.alloc(4)),
    section(4, Buffer.from(parts.stdin)),
  ]);
}

export function encodeRequestFrame(parts: RequestParts): Buffer {
  return section(1, encodeRequestPayload(parts));
}

export function encodeSpoolEntry(containerId: string, ifname: string, bootId: string, askedAtMs: number): Buffer {
  const environment = { CNI_COMMAND: 'DEL', CNI_CONTAINERID: containerId, CNI_IFNAME: ifname };
  const stamp = `${Math.floor(askedAtMs / 1000)}.${String(Math.floor(askedAtMs % 1000) * 1e6).padStart(9, '0')}`;
  return Buffer.concat([
    Buffer.from(`berth-spool 1 ${bootId} ${stamp}\n`),
    encodeRequestFrame({ environment, stdin: '{}' }),
  ]);
}
