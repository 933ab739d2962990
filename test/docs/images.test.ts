/** The pictures of the documentation: each is shown, can be heard, and loads nothing from elsewhere. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';

const test = suite('images');
const docs = join(import.meta.dirname, '../../docs');
const images = readdirSync(join(docs, 'images'));
const pages = readdirSync(docs)
  .filter((name) => name.endsWith('.md'))
  .map((name) => readFileSync(join(docs, name), 'utf8'));

test('every picture is on a page, with words for who cannot see it', () => {
  const shown = new Map(
    pages.flatMap((page) =>
      [...page.matchAll(/!\[([^\]]*)\]\(images\/([^)]+)\)/g)].map(([, words, name]) => [name, words]),
    ),
  );
  assert.deepEqual([...shown.keys()].sort(), images.toSorted());
  assert.deepEqual(
    [...shown].filter(([, words]) => words === ''),
    [],
  );
});

for (const name of images.filter((image) => image.endsWith('.svg'))) {
  test(`${name} is readable on light and dark, has title and description, and is all there is to load`, () => {
    const svg = readFileSync(join(docs, 'images', name), 'utf8');
    assert.match(svg, /<title id="title">[^<]+<\/title>/);
    assert.match(svg, /<desc id="description">[^<]+<\/desc>/);
    assert.match(svg, /@media \(prefers-color-scheme: dark\)/);
    const elsewhere = svg
      .replaceAll('http://www.w3.org/2000/svg', '')
      .match(/https?:|<script|<image|@import|url\((?!#)/g);
    assert.equal(elsewhere, null);
  });
}

test.run();
