/** Alert rules and the dashboard use metrics, labels and phases that the agent really has. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { parse } from 'yaml';
import { DEFINITIONS, type MetricDefinition } from '../../src/metrics/definitions.ts';

const test = suite('monitoring');
const root = join(import.meta.dirname, '../..');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}
interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const rules = (
  parse(readFileSync(join(root, 'deploy/monitoring/alerts.yaml'), 'utf8')) as { groups: { rules: Rule[] }[] }
).groups.flatMap((group) => group.rules);
const { panels } = JSON.parse(readFileSync(join(root, 'deploy/monitoring/dashboard.json'), 'utf8')) as {
  panels: readonly Panel[];
};

const byName = new Map<string, MetricDefinition>(Object.values(DEFINITIONS).map((entry) => [entry.name, entry]));
/** Labels that Prometheus adds when it scrapes. */
const SCRAPED = new Set(['instance', 'job', 'le']);

function metricOf(name: string): MetricDefinition | undefined {
  const found = byName.get(name);
  if (found !== undefined) return found.type === 'histogram' ? undefined : found;
  const family = byName.get(name.replace(/_(bucket|sum|count)$/, ''));
  return family?.type === 'histogram' ? family : undefined;
}

/** Every selector and grouping of an expression has names that exist. */
function checkExpression(expression: string, where: string): void {
  const used = [...expression.matchAll(/\b((?:berth|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)];
  const metrics = used.map(([, name = '', selector = '']) => {
    const metric = metricOf(name);
    assert.ok(metric, `${where}: there is no metric ${name}`);
    for (const [, label = ''] of selector.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)) {
      assert.ok(SCRAPED.has(label) || metric.labels.includes(label), `${where}: ${name} has no label ${label}`);
    }
    return metric;
  });
  for (const [, list = ''] of expression.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const label of list.split(',').map((part) => part.trim())) {
      const known = SCRAPED.has(label) || metrics.some(({ labels }) => labels.includes(label));
      assert.ok(known, `${where}: nothing in it has the label ${label}`);
    }
  }
  assert.equal(expression.match(/\(/g)?.length, expression.match(/\)/g)?.length, `${where}: parentheses`);
  // A counter by itself only ever grows.
  for (const { name, type } of metrics) {
    if (type === 'counter') assert.match(expression, new RegExp(`(rate|increase)\\(${name}`), `${where}: ${name}`);
  }
}

for (const rule of rules) {
  test(`${rule.alert} looks at metrics that there are, and says what it saw`, () => {
    checkExpression(rule.expr, rule.alert);
    assert.match(rule.for, /^[0-9]+m$/);
    assert.ok(['warning', 'critical'].includes(rule.labels.severity));
    const grouping = rule.expr.match(/^\s*(?:histogram_quantile\([^,]*, )?sum by \(([^)]*)\)/)?.[1];
    for (const [, label = ''] of rule.annotations.summary.matchAll(/\$labels\.([a-z_]+)/g)) {
      const isKept = grouping === undefined || grouping.split(',').some((part) => part.trim() === label);
      assert.ok(isKept, `${rule.alert}: ${label} is not left by the grouping`);
    }
    assert.ok(rule.annotations.description.length > 0);
  });
}

test('each alert has its row in docs/metrics.md, and each row its alert', () => {
  const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(Berth[A-Za-z]+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(
    rows,
    rules.map(({ alert }) => alert),
  );
});

for (const { targets = [], title } of panels.filter(({ type }) => type !== 'row')) {
  test(`the panel "${title}" shows metrics that there are`, () => {
    assert.ok(targets.length > 0);
    for (const { expr } of targets) checkExpression(expr, title);
  });
}

test('panels lie beside each other, and have numbers of their own', () => {
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const { gridPos, title } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.equal(taken.get(`${x} ${y}`), undefined, `${title} lies on ${taken.get(`${x} ${y}`)}`);
        taken.set(`${x} ${y}`, title);
      }
    }
  }
});

test.run();
