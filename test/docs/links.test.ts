/** No link of the documentation leads nowhere, and no page that the sources name is missing. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { suite } from 'uvu';
import { anchorsOf, headingsOf, linksOf } from './markdown.ts';
import { readSources } from './reasons.ts';

const root = join(import.meta.dirname, '../..');
const pages = [
  'README.md',
  'CHANGELOG.md',
  'src/shim/protocol.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const test = suite('links');

/** What is wrong with a target that is written on `page`; `undefined` when it leads somewhere. */
function problemOf(page: string, target: string): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(root, file))) return `there is no ${file}`;
  if (anchor === undefined) return undefined;
  if (!file.endsWith('.md')) return `${file} has no anchors`;
  return anchorsOf(readFileSync(join(root, file), 'utf8')).has(anchor) ? undefined : `${file} has no #${anchor}`;
}

for (const page of pages) {
  test(`every link of ${page} leads to a file and a heading that exist`, () => {
    const text = readFileSync(join(root, page), 'utf8');
    const broken = linksOf(text)
      .filter(({ target }) => !/^[a-z][a-z0-9+.-]*:/.test(target))
      .flatMap(({ target, line }) => {
        const problem = problemOf(page, target);
        return problem === undefined ? [] : [`${page}:${line}: ${target}: ${problem}`];
      });
    assert.deepEqual(broken, []);
  });
}

test('every page is reached from the README', () => {
  const reached = new Set<string>();
  const visit = (page: string): void => {
    if (reached.has(page) || !page.endsWith('.md') || !existsSync(join(root, page))) return;
    reached.add(page);
    for (const { target } of linksOf(readFileSync(join(root, page), 'utf8'))) {
      if (!/^[a-z][a-z0-9+.-]*:/.test(target)) visit(normalize(join(dirname(page), target.split('#')[0] ?? '')));
    }
  };
  visit('README.md');
  assert.deepEqual(
    pages.filter((page) => !reached.has(page)),
    [],
  );
});

test('the README names every page of the documentation itself', () => {
  const named = new Set(
    linksOf(readFileSync(join(root, 'README.md'), 'utf8')).map(({ target }) => target.split('#')[0]),
  );
  assert.deepEqual(
    pages.filter((page) => page.startsWith('docs/') && !named.has(page)),
    [],
  );
});

test('every page that a source names exists, with its anchor', () => {
  const broken: string[] = [];
  for (const [source, text] of readSources(root, 'src', ['.ts', '.c', '.h'])) {
    for (const [, target = ''] of text.matchAll(/\b(docs\/[a-z-]+\.md(?:#[a-z][a-z0-9-]*)?)/g)) {
      const problem = problemOf('.', target);
      if (problem !== undefined) broken.push(`${relative(root, source)}: ${target}: ${problem}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('anchors are made as GitHub makes them', () => {
  const page = '# `berth plan`, twice\n## Same\n```\n# no heading\n```\n## Same\n<a id="extra"></a>\n';
  assert.deepEqual(
    headingsOf(page).map((heading) => heading.anchor),
    ['berth-plan-twice', 'same', 'same-1'],
  );
  assert.ok(anchorsOf(page).has('extra'));
});

test('links in code are no links, and others are found with their line', () => {
  const page = 'a `[b](c)` and\n[d](e.md#f) ![g](h.png)\n```\n[i](j)\n```\n';
  assert.deepEqual(linksOf(page), [
    { target: 'e.md#f', line: 2 },
    { target: 'h.png', line: 2 },
  ]);
});

test.run();
