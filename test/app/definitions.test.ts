import * as assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { reviewDefinitions } from '../../src/app/definitions.ts';
import { BerthError } from '../../src/engine/errors.ts';

const test = suite<{ folder: string }>('definitions');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-definitions-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

function definition(name: string, config: string | undefined, resource?: string): object {
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: {
      name,
      namespace: 'prod',
      ...(resource === undefined ? {} : { annotations: { 'k8s.v1.cni.cncf.io/resourceName': resource } }),
    },
    ...(config === undefined ? {} : { spec: { config } }),
  };
}

const MACVLAN = '{"type":"macvlan","cniVersion":"1.0.0","master":"eth7"}';
const SRIOV = '{"type":"sriov","cniVersion":"1.0.0"}';

/** Name, and the number of errors. */
async function broken(path: string): Promise<readonly (readonly [string, number])[]> {
  const reports = await reviewDefinitions(path);
  return reports.map(({ name, plugins }) => [name, plugins.flatMap(({ errors }) => errors).length]);
}

function file(folder: string, text: string): string {
  const path = join(folder, 'given');
  writeFileSync(path, text);
  return path;
}

test('the list that kubectl prints: names, resources, and a network that takes its name from its object', async ({
  folder,
}) => {
  const items = [definition('lan', MACVLAN), definition('fast', SRIOV, 'berth.dev/vf'), definition('bare', SRIOV)];
  const path = file(folder, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  assert.deepEqual(await broken(path), [
    ['prod/lan', 0],
    ['prod/fast', 0],
    ['prod/bare', 1],
  ]);
});

test('a manifest of several documents: other objects are passed over', async ({ folder }) => {
  const documents = [definition('lan', MACVLAN), { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }];
  const path = file(folder, `---\n${documents.map((each) => JSON.stringify(each)).join('\n---\n')}\n---\n`);
  assert.deepEqual(await broken(path), [['prod/lan', 0]]);
});

test('a file of /etc/cni/net.d, whose device comes from somewhere', async ({ folder }) => {
  assert.deepEqual(await broken(file(folder, '{"name":"net-b","type":"sriov","cniVersion":"1.0.0"}')), [['net-b', 0]]);
  assert.deepEqual(
    await broken(file(folder, '{"cniVersion":"1.0.0","name":"net-c","plugins":[{"type":"vlan","master":"eth7"}]}')),
    [['net-c', 1]],
  );
});

test('a definition without a configuration has it in a file of the node', async ({ folder }) => {
  const [report] = await reviewDefinitions(file(folder, JSON.stringify(definition('elsewhere', undefined))));
  assert.deepEqual(report, { name: 'prod/elsewhere', plugins: [], isElsewhere: true });
});

test('a configuration that is no text, and metadata that are none, are told of their definition', async ({
  folder,
}) => {
  const given = { kind: 'NetworkAttachmentDefinition', metadata: { name: 'lan' }, spec: { config: { type: 'vlan' } } };
  const [report] = await reviewDefinitions(file(folder, JSON.stringify(given)));
  assert.deepEqual(
    report?.plugins.flatMap(({ errors }) => errors.map(({ path }) => path)),
    ['spec.config'],
  );
  assert.deepEqual(await broken(file(folder, JSON.stringify({ ...given, metadata: 7 }))), [['(no name)', 1]]);
});

test('a definition that is no JSON does not hide the others', async ({ folder }) => {
  const items = [definition('broken', '{"type": "macvlan", }'), definition('lan', MACVLAN)];
  const path = file(folder, JSON.stringify({ kind: 'List', items }));
  assert.deepEqual(await broken(path), [
    ['prod/broken', 1],
    ['prod/lan', 0],
  ]);
});

for (const [what, text] of [
  ['empty', ''],
  ['a word', 'hello\n'],
  ['a list of numbers', '[1, 2]'],
  ['cut off', '{"kind":"List","items":[{"kind":'],
  ['lists in lists', `${'{"items":['.repeat(5000)}${']}'.repeat(5000)}`],
  ['of other objects only', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n'],
  ['full of references', 'a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c, *c]\ne: &e {type: *d}\n'],
] as const) {
  test(`a file that is ${what} is refused`, async ({ folder }) => {
    await assert.rejects(
      () => reviewDefinitions(file(folder, text)),
      (error: unknown) => error instanceof BerthError && error.reason === 'definitions-invalid',
    );
  });
}

for (const [what, path, code] of [
  ['does not exist', '/nonexistent/definitions', 'NotFound'],
  ['is a folder', tmpdir(), 'Io'],
] as const) {
  test(`a file that ${what} cannot be read`, async () => {
    await assert.rejects(
      () => reviewDefinitions(path),
      (error: unknown) =>
        error instanceof BerthError && error.reason === 'definitions-unreadable' && error.code === code,
    );
  });
}

test.run();
