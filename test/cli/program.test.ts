import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { AgentOptions, ExplainQuestion, PlanAnswer, PlanQuestion, ProgramDeps } from '../../src/cli/port.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { GarbageReport } from '../../src/engine/attachments/garbage.ts';
import type { AttachmentSummary } from '../../src/engine/attachments/model.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { Plan } from '../../src/engine/pools/model.ts';
import { parseContainerId, parseIfName, parseNetworkName, parsePciAddress } from '../../src/engine/values.ts';
import type { AgentStatus, ConfigProblem, Explanation } from '../../src/engine/view.ts';
import { notAsked } from './no-installer.ts';
import { noTerminal } from './no-terminal.ts';

const NOW = new Date('2026-01-01T00:10:00Z');
const SINCE = '2026-01-01T00:05:00Z';
const VF = parsePciAddress('0000:41:10.0');

const status: AgentStatus = {
  version: '1.2.3',
  node: 'worker-1',
  startedAt: SINCE,
  configuration: {
    source: '/etc/berth/config.yaml',
    running: 'file',
    takenAt: '2026-01-01T00:00:00Z',
    brokenSince: SINCE,
    reloads: { taken: 1, refused: 2 },
    problems: ['config.yaml:3: pools.0.nam: unknown key'],
    warnings: ['config.yaml:5: warning: x: unknown key'],
  },
  resources: [
    { resource: 'berth.dev/vf', devices: 4, healthy: 3, reasons: ['eth0 is down'], registered: true, mode: 'watcher' },
    {
      resource: 'berth.dev/macvlan',
      devices: 0,
      healthy: 0,
      reasons: [],
      registered: false,
      problem: 'kubelet is away',
      namespaces: ['team-a', 'team-b'],
      refused: { count: 3, lastPod: 'team-c/web', lastAt: SINCE },
    },
  ],
  attachments: { total: 2, stuck: 1, unreadable: 0 },
  spool: { entries: 0, unreadable: 0 },
  inventory: { nics: 2, vfs: 4, readAt: SINCE },
  process: { rssBytes: 64 * 2 ** 20, eventLoopMaxMs: 3.21 },
};

const attachment: AttachmentSummary = {
  containerId: parseContainerId('0123456789abcdef'),
  ifname: parseIfName('net1'),
  kind: 'vf',
  device: VF,
  network: parseNetworkName('fast'),
  pod: { namespace: 'default', name: 'app\u001b[31m' },
  addresses: ['10.0.0.2/24'],
  state: 'attached',
  since: SINCE,
  createdAt: SINCE,
};

const plan: Plan = { pools: [], unused: [{ address: VF, ifname: 'eth0v0', reasons: ['it is on no driver'] }] };

const view = { inventory: { node: { name: 'worker-1' } }, owners: {}, pools: {} };

const report: PlanAnswer = { node: 'worker-1', pools: [], unused: plan.unused, overlaps: [], problems: [] };

const explanation: Explanation = {
  device: VF,
  ifname: 'eth0v0',
  kind: 'vf',
  what: 'VF 0 of eth0',
  verdicts: [{ resource: 'berth.dev/vf', takes: false, why: 'it is up with addresses' }],
  offered: [],
};

interface Run {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
  readonly agentOptions: AgentOptions | undefined;
}

async function run(argv: readonly string[], replace: Partial<ProgramDeps> = {}): Promise<Run> {
  let out = '';
  let err = '';
  let agentOptions: AgentOptions | undefined;
  const answers: Record<string, unknown> = {
    '/v1/status': status,
    '/v1/attachments': [attachment],
    '/v1/plan': plan,
    '/v1/inventory': view,
    '/v1/allocations': [],
    '/v1/explain?device=eth0v0': explanation,
  };
  const deps: ProgramDeps = {
    version: '1.2.3',
    output: { out: (text) => (out += text), err: (text) => (err += text), color: false, now: () => NOW },
    node: {
      inventory: () => Promise.reject(new Error('not asked for')),
      counters: () => Promise.reject(new Error('not asked for')),
      linkCounters: () => Promise.reject(new Error('not asked for')),
      saved: () => Promise.reject(new Error('not asked for')),
      plan: () => Promise.resolve(report),
      explain: () => Promise.resolve(explanation),
      lint: () => Promise.resolve([]),
      definitions: () => Promise.reject(new Error('not asked for')),
      capture: () => Promise.reject(new Error('not asked for')),
      configSchema: () => ({}),
    },
    agent: <T>(_runDir: string, path: string) => Promise.resolve(answers[path] as T),
    follow: () => Promise.reject(new Error('not asked for')),
    terminal: noTerminal,
    installer: notAsked,
    runDashboard: () => Promise.reject(new Error('not asked for')),
    troubleshooting: () => undefined,
    runAgent: (options) => {
      agentOptions = options;
      return Promise.resolve(0);
    },
    ...replace,
  };
  return { exit: await runProgram(argv, deps), out, err, agentOptions };
}

const away: ProgramDeps['agent'] = () =>
  Promise.reject(
    new BerthError({ code: 'NotFound', reason: 'agent-away', message: 'no agent answers', remedy: 'Start it.' }),
  );

test("an option behind a command of inventory is that command's", async () => {
  const saved = () => Promise.resolve({ node: {}, nics: [], virtual: [], findings: [] });
  const node = { saved } as unknown as ProgramDeps['node'];
  for (const argv of [
    ['inventory', 'diff', '-o', 'json', 'a', 'b'],
    ['inventory', 'diff', 'a', 'b', '--output=json'],
  ]) {
    const { exit, out } = await run(argv, { node });
    assert.deepEqual([exit, JSON.parse(out)], [0, { differences: [] }], argv.join(' '));
  }
  assert.equal((await run(['inventory', 'diff', '-o', 'wide', 'a', 'b'], { node })).exit, 2);
});

test('status shows resources, what is wrong with them, and a configuration that is not used', async () => {
  const { exit, out } = await run(['status']);
  assert.equal(exit, 0);
  assert.match(out, /node worker-1, berth 1\.2\.3, up 5m/);
  assert.match(out, /configuration: \/etc\/berth\/config\.yaml \(taken 10m ago; the newest one is broken since 5m\)/);
  assert.match(out, /not used, what it said before runs on: config\.yaml:3/);
  assert.match(out, /attachments: 2 \(1 stuck\)/);
  assert.match(out, /berth\.dev\/vf +4 +3 +watcher +eth0 is down/);
  assert.match(out, /berth\.dev\/macvlan +0 +0 +no +kubelet is away; for namespaces team-a, team-b; refused 3 /);
  assert.match(out, /refused 3 attachments from elsewhere, last pod team-c\/web 5m ago/);
});

const STANDS: readonly (readonly [what: string, Partial<AgentStatus['configuration']>, RegExp])[] = [
  [
    'broken from the start',
    { running: 'nothing' },
    /config\.yaml \(broken since 5m\)\n {2}not used, nothing is offered until it is mended: config\.yaml:3/,
  ],
  [
    'broken where there was none',
    { running: 'built-in', takenAt: '2026-01-01T00:00:00Z' },
    /\(taken 10m ago; the newest one is broken since 5m\)\n {2}not used, the built-in configuration runs on: config\.yaml:3/,
  ],
  ['broken, under an agent that does not tell what runs', {}, /\n {2}not used: config\.yaml:3/],
];

for (const [what, stands, said] of STANDS) {
  test(`status says what runs while the file is ${what}`, async () => {
    const { running: _, takenAt: __, ...rest } = status.configuration;
    const configuration = { ...rest, ...stands };
    const agent: ProgramDeps['agent'] = <T>() => Promise.resolve({ ...status, configuration } as T);
    assert.match((await run(['status'], { agent })).out, said);
  });
}

test('attachments never hands control characters of a pod name to the terminal', async () => {
  const { out } = await run(['attachments']);
  assert.match(out, /default\/app\?\[31m +net1 +vf +0000:41:10\.0 +fast +10\.0\.0\.2\/24 +attached +5m +0123456789ab/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is the point
  assert.doesNotMatch(out, /\u001b/);
});

for (const [command, path, hostile] of [
  [['status'], '/v1/status', { ...status, node: 'worker\u001b]0;1' }],
  [['status'], '/v1/status', { ...status, inventory: { ...status.inventory, problem: '\u009b2J' } }],
  [['explain', 'eth0v0'], '/v1/explain?device=eth0v0', { ...explanation, device: '\u001b[2J' }],
] as const) {
  test(`${command[0]} hands no control character of ${path} to the terminal`, async () => {
    const agent: ProgramDeps['agent'] = <T>() => Promise.resolve(hostile as T);
    const node = { explain: () => Promise.resolve(hostile) } as unknown as ProgramDeps['node'];
    const { exit, out } = await run(command, { agent, node });
    assert.deepEqual([exit, /[^\n\P{Cc}]/u.exec(out)], [0, null]);
  });
}

test('an error hands no control character of its message to the terminal, but keeps its lines', async () => {
  const message = 'ta\u001b[2Jp0\u202e is gone\nand its twin';
  const agent = () => Promise.reject(new BerthError({ code: 'Io', reason: 'x', message, extack: 'E\u0007' }));
  const { err } = await run(['status'], { agent });
  assert.match(err, /^berth: ta\?\[2Jp0\? is gone\nand its twin \(kernel: E\?\) \[x\]\n/);
});

test('-o json prints the documents as they are', async () => {
  assert.deepEqual(JSON.parse((await run(['status', '-o', 'json'])).out), status);
  assert.deepEqual(JSON.parse((await run(['attachments', '-o', 'json'])).out), { attachments: [attachment] });
  assert.deepEqual(JSON.parse((await run(['plan', '-o', 'json'])).out), report);
  assert.deepEqual(JSON.parse((await run(['explain', 'eth0v0', '-o', 'json'])).out), explanation);
});

test('explain names the device, and says why', async () => {
  const { out } = await run(['explain', 'eth0v0']);
  assert.match(out, /^0000:41:10\.0 \(eth0v0\): VF 0 of eth0\n/);
  assert.match(out, /berth\.dev\/vf +no +it is up with addresses/);
});

test('explain names the pod that has the device without an attachment', async () => {
  const given = { ...explanation, allocation: { pod: 'default/dpdk-0', container: 'fwd' } };
  const agent: ProgramDeps['agent'] = <T>() => Promise.resolve(given as T);
  assert.match(
    (await run(['explain', 'eth0v0'], { agent })).out,
    /^kubelet gave it to pod default\/dpdk-0, container fwd$/m,
  );
});

test('plan without an agent reads the node, and says that pods are unknown', async () => {
  const { exit, out, err } = await run(['plan'], { agent: away });
  assert.equal(exit, 0);
  assert.match(out, /eth0v0 \(0000:41:10\.0\) +it is on no driver/);
  assert.match(err, /no agent answers; the node is read directly, pods are unknown/);
});

test('plan and explain of a file ask the agent what runs, and judge by its prefix', async () => {
  const questions: unknown[] = [];
  const node = {
    plan: (question: PlanQuestion) => Promise.resolve(questions.push(question)).then(() => report),
    explain: (question: ExplainQuestion) => Promise.resolve(questions.push(question)).then(() => explanation),
  } as unknown as ProgramDeps['node'];
  const answers: Record<string, unknown> = {
    '/v1/status': { ...status, configuration: { ...status.configuration, resourcePrefix: 'example.com' } },
    '/v1/plan': plan,
    '/v1/inventory': view,
    '/v1/allocations': [],
    '/v1/attachments': [attachment],
  };
  const agent: ProgramDeps['agent'] = <T>(_: string, path: string) => Promise.resolve(answers[path] as T);
  const running = {
    plan,
    inventory: view.inventory,
    attachments: [attachment],
    allocations: [],
    resourcePrefix: 'example.com',
  };
  const { err } = await run(['plan', '-f', 'x.yaml'], { agent, node });
  await run(['plan'], { agent, node });
  await run(['explain', 'eth0v0', '-f', 'x.yaml', '--resource-prefix', 'mine.example'], { agent, node });
  assert.deepEqual(questions, [
    { root: '/', file: 'x.yaml', resourcePrefix: 'example.com', running },
    { root: '/', running },
    { root: '/', device: 'eth0v0', file: 'x.yaml', resourcePrefix: 'mine.example', running },
  ]);
  assert.match(err, /the newest \/etc\/berth\/config\.yaml is broken, what it said before runs on; see berth status/);
});

test('plan of a tree, or against another file, does not ask the agent', async () => {
  const agent = () => Promise.reject(new Error('asked'));
  for (const more of [
    ['--root', '/tmp/x'],
    ['--against', 'y.yaml'],
  ]) {
    assert.equal((await run(['plan', '-f', 'x.yaml', ...more], { agent })).exit, 0);
  }
});

test('lint prints the schema without a file', async () => {
  const node = { configSchema: () => ({ type: 'object' }) } as unknown as ProgramDeps['node'];
  const { exit, out } = await run(['lint', '--print-schema'], { node });
  assert.deepEqual([exit, JSON.parse(out)], [0, { type: 'object' }]);
});

test('lint prints each problem with its line and hint, and fails', async () => {
  const problems: ConfigProblem[] = [
    { path: 'pools.0.nam', line: 3, message: 'unknown key "nam"', hint: 'did you mean "name"?' },
  ];
  const node = { lint: () => Promise.resolve(problems) } as unknown as ProgramDeps['node'];
  const text = await run(['lint', '-f', 'x.yaml'], { node });
  assert.equal(text.exit, 1);
  assert.equal(text.out, 'x.yaml:3: pools.0.nam: unknown key "nam" (did you mean "name"?)\n');
  const json = await run(['lint', '-f', 'x.yaml', '-o', 'json'], { node });
  assert.equal(json.exit, 1);
  assert.deepEqual(JSON.parse(json.out), { problems });
});

test('a plan of a file that cannot be used shows problems, and no pools that would never be', async () => {
  const problems: ConfigProblem[] = [{ path: 'x', line: 3, message: 'unknown key "x"' }];
  const node = { plan: () => Promise.resolve({ ...report, problems }) } as unknown as ProgramDeps['node'];
  const { err, exit, out } = await run(['plan', '-f', 'c.yaml', '--root', '/tmp/x'], { node });
  assert.deepEqual([exit, out], [1, '']);
  assert.equal(
    err,
    'c.yaml:3: x: unknown key "x"\nberth: the file cannot be used, and an agent would go on with what it has\n',
  );
  const json = await run(['plan', '-f', 'c.yaml', '--root', '/tmp/x', '-o', 'json'], { node });
  assert.deepEqual([json.exit, JSON.parse(json.out)], [1, { ...report, problems }]);
});

test('a file with warnings alone passes lint and plan, and they are told', async () => {
  const problems: ConfigProblem[] = [{ path: 'x', line: 3, message: 'unknown key "x"', severity: 'warning' }];
  const node = {
    lint: () => Promise.resolve(problems),
    plan: () => Promise.resolve({ ...report, problems }),
  } as unknown as ProgramDeps['node'];
  const lint = await run(['lint', '-f', 'c.json'], { node });
  assert.deepEqual([lint.exit, lint.out], [0, 'c.json:3: warning: x: unknown key "x"\n']);
  const plan = await run(['plan', '-f', 'c.json', '--root', '/tmp/x'], { node });
  assert.deepEqual([plan.exit, plan.err], [0, 'c.json:3: warning: x: unknown key "x"\n']);
});

test('a failure prints what, why and what to do on stderr, and nothing on stdout', async () => {
  const { exit, out, err } = await run(['status'], { agent: away });
  assert.equal(exit, 1);
  assert.equal(out, '');
  assert.equal(
    err,
    'berth: no agent answers [agent-away]\n  Start it.\n  See berth help agent-away, or docs/troubleshooting.md#agent-away\n',
  );
});

for (const argv of [
  ['inventry'],
  ['status', '--loud'],
  ['explain'],
  ['status', '-o', 'xml'],
  ['lint'],
  ['status', 'more'],
]) {
  test(`wrong usage exits 2: ${argv.join(' ')}`, async () => {
    const { exit, out, err } = await run(argv);
    assert.equal(exit, 2);
    assert.equal(out, '');
    assert.match(err, /error: /);
  });
}

test('help and version go to stdout and exit 0', async () => {
  const help = await run(['--help']);
  assert.equal(help.exit, 0);
  for (const name of ['agent', 'inventory', 'capture', 'explain', 'plan', 'lint', 'attachments', 'status']) {
    assert.match(help.out, new RegExp(`^  ${name} `, 'm'));
  }
  assert.deepEqual([(await run(['--version'])).exit, (await run(['--version'])).out], [0, '1.2.3\n']);
});

test('the agent is given what was said, and leaves the rest to its configuration', async () => {
  const { agentOptions } = await run(['agent', '--run-dir', '/tmp/r']);
  assert.deepEqual(agentOptions, { runDir: '/tmp/r', logLevel: 'info' });
});

const garbage: GarbageReport = {
  dryRun: true,
  living: 3,
  items: [
    {
      attachment: 'c1@net1',
      device: VF,
      pod: { namespace: 'default', name: 'app' },
      action: 'restore',
      why: 'its sandbox is gone: nsid 4 is free',
    },
    { attachment: 'c2@net1', device: 'eth0', action: 'keep', why: 'its sandbox cannot be judged' },
  ],
};

test('gc asks for a dry run by reading, and prints what would be done', async () => {
  const asked: (string | undefined)[] = [];
  const agent: ProgramDeps['agent'] = <T>(_: string, path: string, method?: string) => {
    asked.push(`${method} ${path}`);
    return Promise.resolve(garbage as T);
  };
  const { exit, out } = await run(['gc', '--dry-run'], { agent });
  assert.equal(exit, 0);
  assert.match(out, /would restore +default\/app +0000:41:10\.0 +c1@net1 +its sandbox is gone/);
  assert.match(out, /^keep .*eth0 .*c2@net1/m);
  assert.match(out, /3 attachments are as they should be/);
  assert.deepEqual(asked, ['GET /v1/gc']);
});

test('gc has it done, and fails when something failed', async () => {
  const done = garbage.items.map((item) => ({ ...item, outcome: 'failed' as const, problem: 'trust is on, not off' }));
  const agent: ProgramDeps['agent'] = <T>(_: string, _path: string, method?: string) => {
    assert.equal(method, 'POST');
    return Promise.resolve({ dryRun: false, living: 1, items: done.slice(0, 1) } as T);
  };
  const { exit, out } = await run(['gc'], { agent });
  assert.equal(exit, 1);
  assert.match(out, /restore failed .*trust is on, not off/);
  const json = await run(['gc', '-o', 'json'], { agent });
  assert.equal(JSON.parse(json.out).items[0].outcome, 'failed');
});

test('gc says when there is nothing to collect', async () => {
  const agent: ProgramDeps['agent'] = <T>() => Promise.resolve({ dryRun: false, living: 0, items: [] } as T);
  assert.deepEqual(await run(['gc'], { agent }).then(({ exit, out }) => [exit, out]), [
    0,
    'Nothing to collect; 0 attachments are as they should be.\n',
  ]);
});

test("the device plugin's arguments start the agent with its file, and what is not looked at is said", async () => {
  const { exit, err, agentOptions } = await run([
    '--log-level=10',
    '--resource-prefix=openshift.io',
    '--config-file=/etc/pcidp/worker-1',
  ]);
  assert.deepEqual(
    [exit, agentOptions?.config, agentOptions?.resourcePrefix, agentOptions?.logLevel],
    [0, '/etc/pcidp/worker-1', 'openshift.io', 'info'],
  );
  assert.match(
    err,
    /running berth agent --config=\/etc\/pcidp\/worker-1 .*; ignored: --log-level=10 \(logs go to stderr\)/,
  );
});

test.run();
