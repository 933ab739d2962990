/**
 * An OCI image as one archive: the layout of the OCI image specification 1.1, with the annotation that
 * containerd takes the name from, and the `manifest.json` that older docker needs.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type TarEntry, tar } from '../../src/linux/tar.ts';

export interface ImageSpec {
  /** `berth.dev/berth:0.1.0` */
  readonly name: string;
  /** `amd64` or `arm64`, as the specification has it. */
  readonly architecture: string;
  readonly layers: readonly { readonly entries: readonly TarEntry[]; readonly comment: string }[];
  readonly config: Readonly<Record<string, unknown>>;
}

export interface Image {
  readonly archive: Buffer;
  /** Of the manifest: what `kubectl describe pod` shows. */
  readonly digest: string;
  readonly compressedBytes: number;
  readonly unpackedBytes: number;
}

/** The layers carry no time; tools show their age as that of 1970. */
const EPOCH = '1970-01-01T00:00:00Z';

export function image(spec: ImageSpec): Image {
  const blobs: TarEntry[] = [];
  const blob = (bytes: Buffer, mediaType: string): { mediaType: string; digest: string; size: number } => {
    const hex = sha256(bytes);
    blobs.push({ path: `blobs/sha256/${hex}`, kind: 'file', mode: 0o644, bytes });
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const layers = spec.layers.map(({ entries, comment }) => {
    const bytes = tar(entries);
    const packed = gzipSync(bytes, { level: 6 });
    // zlib writes which system it runs on.
    packed[9] = 255;
    return { diff: `sha256:${sha256(bytes)}`, size: bytes.length, comment, packed };
  });
  const layerBlobs = layers.map(({ packed }) => blob(packed, 'application/vnd.oci.image.layer.v1.tar+gzip'));
  const config = blob(
    json({
      created: EPOCH,
      architecture: spec.architecture,
      os: 'linux',
      config: spec.config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diff }) => diff) },
      history: layers.map(({ comment }) => ({ created: EPOCH, created_by: 'hack/image', comment })),
    }),
    'application/vnd.oci.image.config.v1+json',
  );
  const manifest = blob(
    json({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config, layers: layerBlobs }),
    'application/vnd.oci.image.manifest.v1+json',
  );
  const file = (path: string, content: unknown): TarEntry => ({
    path,
    kind: 'file',
    mode: 0o644,
    bytes: json(content),
  });
  const pathOf = ({ digest }: { digest: string }): string => `blobs/${digest.replace(':', '/')}`;
  const archive = tar([
    { path: 'blobs', kind: 'folder', mode: 0o755 },
    { path: 'blobs/sha256', kind: 'folder', mode: 0o755 },
    ...blobs,
    file('oci-layout', { imageLayoutVersion: '1.0.0' }),
    file('index.json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          ...manifest,
          platform: { architecture: spec.architecture, os: 'linux' },
          annotations: {
            'io.containerd.image.name': spec.name,
            'org.opencontainers.image.ref.name': spec.name,
          },
        },
      ],
    }),
    file('manifest.json', [{ Config: pathOf(config), RepoTags: [spec.name], Layers: layerBlobs.map(pathOf) }]),
  ]);
  return {
    archive,
    digest: manifest.digest,
    compressedBytes: layerBlobs.reduce((sum, { size }) => sum + size, 0),
    unpackedBytes: layers.reduce((sum, { size }) => sum + size, 0),
  };
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
