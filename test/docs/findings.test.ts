/** The inventory's page has a section for every finding, and for no other. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { FINDING_RULES } from '../../src/engine/findings/index.ts';
import { headingsOf } from './markdown.ts';

const test = suite('findings');
const headings = headingsOf(readFileSync(join(import.meta.dirname, '../../docs/inventory.md'), 'utf8'));
const start = headings.findIndex((heading) => heading.text === 'Findings');
const end = headings.findIndex((heading, index) => index > start && heading.level <= 2);
const sections = headings.slice(start + 1, end === -1 ? undefined : end);

test('every rule has one section whose anchor is its id, and every section a rule', () => {
  const ids = FINDING_RULES.map((rule) => rule.id).sort();
  assert.deepEqual(sections.map((section) => section.text).sort(), ids);
  assert.deepEqual(sections.map((section) => section.anchor).sort(), ids);
});

test('every section says something', () => {
  assert.deepEqual(
    sections.filter((section) => section.body.trim().length < 80).map((section) => section.text),
    [],
  );
});

test.run();
