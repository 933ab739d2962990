/** The list of what is in the image, in CycloneDX 1.5's JSON: npm packages, Debian packages, Node.js, Berth. */
import type { DebianPackage } from './libraries.ts';
import type { LockedPackage } from './npm-packages.ts';

export interface Parts {
  readonly version: string;
  readonly image: string;
  readonly node: { readonly name: string; readonly locked: LockedPackage };
  /** By npm name. */
  readonly packages: Readonly<Record<string, LockedPackage>>;
  readonly debian: readonly DebianPackage[];
}

export function billOfMaterials({ version, image, node, packages, debian }: Parts): object {
  const own = `pkg:generic/berth@${version}`;
  const components = [
    npmComponent(node.name, node.locked),
    ...Object.entries(packages)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, locked]) => npmComponent(name, locked)),
    ...debian.map(debianComponent),
  ];
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        type: 'container',
        'bom-ref': own,
        name: image,
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
      },
    },
    components,
    dependencies: [{ ref: own, dependsOn: components.map((component) => component['bom-ref']) }],
  };
}

function npmComponent(name: string, { version, integrity, license }: LockedPackage) {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') }],
    ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
  };
}

function debianComponent({ name, version, architecture }: DebianPackage) {
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`;
  return { type: 'library', 'bom-ref': purl, name, version, purl };
}
