/** Every network that the documents show is accepted, and the resources that their pods ask for exist. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { parseAllDocuments } from 'yaml';
import { zeroConfig } from '../../src/config/index.ts';
import { bench } from '../cni/calls.ts';

interface Manifest {
  readonly kind?: string;
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly config?: string;
    readonly containers?: readonly { readonly resources?: { readonly limits?: Readonly<Record<string, unknown>> } }[];
  };
}

const RESOURCE = 'k8s.v1.cni.cncf.io/resourceName';
/** As Multus adds one where the pod has it. */
const DEVICE = '0000:41:10.1';
const root = join(import.meta.dirname, '../..');
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);
const test = suite('networks in the documents');

const manifests = fences('yaml')
  .flatMap(({ page, text }) =>
    parseAllDocuments(text).map((document) => ({ page, manifest: document.toJS() as Manifest | null })),
  )
  .flatMap(({ page, manifest }) => (manifest?.kind === undefined ? [] : [{ page, manifest }]));
const networks = [
  ...manifests.flatMap(({ page, manifest }) => {
    const { metadata, spec } = manifest;
    if (spec?.config === undefined) return [];
    const config = JSON.parse(spec.config) as Record<string, unknown>;
    const device = metadata?.annotations?.[RESOURCE] === undefined ? {} : { deviceID: DEVICE };
    return [{ page, config: { ...config, ...device } }];
  }),
  ...fences('json')
    .map(({ page, text }) => ({ page, config: JSON.parse(text) as Record<string, unknown> }))
    .filter(({ config }) => 'cniVersion' in config),
];
const offered = zeroConfig().pools.map((pool) => pool.resource);

test('there are networks, pods and pages', () => {
  assert.ok(networks.length >= 5, `${networks.length} networks`);
  assert.ok(manifests.some(({ manifest }) => manifest.kind === 'Pod'));
});

for (const [at, { config, page }] of networks.entries()) {
  test(`network ${at + 1}, of ${page}, is attached`, async () => {
    const { engine, send } = bench();
    const { answer } = await send({ config });
    assert.equal(engine.attached.length, 1, `${answer.msg ?? 'no answer'} in ${JSON.stringify(config)}`);
  });
}

test('what networks and pods name is offered without configuration', () => {
  const named = manifests.flatMap(({ manifest: { metadata, spec } }) => [
    ...Object.keys(spec?.containers?.[0]?.resources?.limits ?? {}),
    ...(metadata?.annotations?.[RESOURCE] === undefined ? [] : [metadata.annotations[RESOURCE]]),
  ]);
  assert.deepEqual(
    named.filter((resource) => !offered.includes(resource)),
    [],
  );
});

test.run();

function fences(language: string): readonly { readonly page: string; readonly text: string }[] {
  return pages.flatMap((page) => {
    const found = readFileSync(join(root, page), 'utf8').matchAll(
      new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'),
    );
    return [...found].map(([, text = '']) => ({ page, text }));
  });
}
