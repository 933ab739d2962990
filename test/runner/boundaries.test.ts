/**
 * The import boundaries are worth what they refuse: each rule of .dependency-cruiser.cjs is shown an
 * import that crosses it, in a copy of the configuration over a tree of small files.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'uvu';

const CHECKOUT = resolve(import.meta.dirname, '../..');

/** Files that exist in the tree, so that imports of them resolve. */
const TARGETS = [
  'src/app/agent.ts',
  'src/cli/target.ts',
  'src/cni/target.ts',
  'src/config/target.ts',
  'src/engine/target.ts',
  'src/http/target.ts',
  'src/kubelet/target.ts',
  'src/linux/target.ts',
  'src/linux/ffi/target.ts',
  'src/main.ts',
  'src/page/target.ts',
  'test/standins/target.ts',
];

/** What a file may not import, and the rule that says so. */
const FORBIDDEN: readonly (readonly [file: string, specifier: string, rule: string])[] = [
  ['src/engine/a.ts', '../linux/target.ts', 'engine-only-itself'],
  ['src/engine/b.ts', '../kubelet/target.ts', 'engine-only-itself'],
  ['src/engine/c.ts', 'pino', 'engine-pure-packages'],
  ['src/engine/d.ts', 'node:child_process', 'engine-no-io'],
  ['src/engine/e.ts', 'node:fs', 'engine-no-io'],
  ['src/linux/a.ts', '../cni/target.ts', 'linux-only-engine'],
  ['src/linux/b.ts', 'koffi', 'koffi-in-one-place'],
  ['src/kubelet/a.ts', '../cni/target.ts', 'kubelet-only-engine'],
  ['src/kubelet/b.ts', '../linux/target.ts', 'kubelet-only-engine'],
  ['src/cni/a.ts', '../linux/target.ts', 'cni-only-engine'],
  ['src/cni/b.ts', '@grpc/grpc-js', 'cni-packages'],
  ['src/cli/a.ts', '../http/target.ts', 'cli-only-engine'],
  ['src/http/a.ts', '../cli/target.ts', 'http-only-engine'],
  ['src/http/b.ts', 'node:child_process', 'programs-in-few-places'],
  ['src/config/a.ts', '../kubelet/target.ts', 'config-only-engine'],
  ['src/metrics/a.ts', '../http/target.ts', 'metrics-only-engine'],
  ['src/metrics/b.ts', 'zod', 'metrics-packages'],
  ['src/kubernetes/a.ts', '../http/target.ts', 'kubernetes-only-engine'],
  ['src/kubernetes/b.ts', 'zod', 'kubernetes-packages'],
  ['src/page/a.ts', 'node:fs', 'page-only-itself'],
  ['src/page/b.ts', '../engine/target.ts', 'page-only-itself'],
  ['src/page/c.ts', '../http/target.ts', 'page-types-of-engine'],
  ['src/http/d.ts', '../page/target.ts', 'page-is-served'],
  ['src/http/c.ts', '../app/agent.ts', 'only-main-wires'],
  ['src/linux/c.ts', '../main.ts', 'only-main-wires'],
  ['src/app/a.ts', '../../test/standins/target.ts', 'sources-without-tests'],
  ['src/app/b.ts', 'fast-check', 'sources-without-dev-packages'],
  ['src/app/c.ts', './not-there.ts', 'no-unresolvable'],
  ['src/app/d.ts', './d.ts', 'no-cycles'],
];

/** What the same rules let pass. */
const ALLOWED: readonly (readonly [file: string, specifier: string])[] = [
  ['src/engine/ok.ts', './target.ts'],
  ['src/engine/values.ts', 'ipaddr.js'],
  ['src/kubelet/ok.ts', '../engine/target.ts'],
  ['src/metrics/ok.ts', 'prom-client'],
  ['src/kubernetes/ok.ts', '@kubernetes/client-node'],
  ['src/linux/ok.ts', './ffi/target.ts'],
  ['src/linux/ffi/ok.ts', 'koffi'],
  ['src/app/ok.ts', '../linux/target.ts'],
  ['src/page/ok.ts', './target.ts'],
];

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

let violations: readonly Violation[] = [];

test.before(() => {
  const tree = mkdtempSync(join(tmpdir(), 'berth-boundaries-'));
  try {
    for (const name of ['.dependency-cruiser.cjs', 'package.json', 'tsconfig.json']) {
      cpSync(join(CHECKOUT, name), join(tree, name));
    }
    symlinkSync(join(CHECKOUT, 'node_modules'), join(tree, 'node_modules'));
    for (const path of TARGETS) write(tree, path, 'export const here = true;\n');
    for (const [path, specifier] of [...FORBIDDEN, ...ALLOWED]) {
      write(tree, path, `import * as imported from '${specifier}';\nexport const kept = imported;\n`);
    }
    const depcruise = join(CHECKOUT, 'node_modules/.bin/depcruise');
    const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'src', 'test'];
    const { stdout, stderr } = spawnSync(process.execPath, [depcruise, ...args], {
      cwd: tree,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    assert.notEqual(stdout, '', stderr);
    violations = (JSON.parse(stdout) as { summary: { violations: Violation[] } }).summary.violations;
  } finally {
    rmSync(tree, { recursive: true });
  }
});

for (const [file, specifier, rule] of FORBIDDEN) {
  test(`${rule} refuses ${specifier} in ${file}`, () => {
    const rules = violations.filter(({ from }) => from === file).map((violation) => violation.rule.name);
    assert.ok(rules.includes(rule), `refused by: ${rules.join(', ') || 'no rule'}`);
  });
}

for (const [file, specifier] of ALLOWED) {
  test(`${specifier} is allowed in ${file}`, () => {
    assert.deepEqual(
      violations.filter(({ from }) => from === file),
      [],
    );
  });
}

test.run();

function write(tree: string, path: string, content: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), content);
}
