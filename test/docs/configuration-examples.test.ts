/** Every configuration that the documents show is one without problems. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import { parseConfig } from '../../src/config/index.ts';

const PAGES = ['configuration.md', 'migrating.md'];

for (const page of PAGES) {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  const examples = [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, body = '']) => body);

  test(`${page} has examples`, () => assert.ok(examples.length >= 2));

  for (const [at, example] of examples.entries()) {
    test(`example ${at + 1} of ${page} has no problems`, () => {
      const { config, problems } = parseConfig(example, page);
      assert.deepEqual(problems, []);
      assert.ok(config && config.pools.length > 0);
    });
  }
}

test.run();
