/**
 * The arrows of docs/architecture.md as rules. test/runner/boundaries.test.ts shows that each of them
 * really refuses what it names; a rule added here gets its line there.
 */

/** The front ends: each translates one protocol, calls the engine, and knows neither the others nor the kernel. */
const FRONT_ENDS = ['kubelet', 'cni', 'cli', 'http', 'config', 'metrics', 'kubernetes'];

/** What of npm each front end speaks its protocol with. */
const FRONT_END_PACKAGES = {
  kubelet: ['@grpc/grpc-js', '@bufbuild/protobuf'],
  cni: ['zod', 'ipaddr\\.js'],
  cli: ['commander', 'yaml'],
  http: ['zod'],
  config: ['yaml', 'zod'],
  metrics: ['prom-client'],
  kubernetes: ['@kubernetes/client-node'],
};

const packages = (names) => `(^|/)node_modules/(${names.join('|')})/`;

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Modules that load each other. Types may refer to each other: their imports are erased.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'engine-only-itself',
      comment: 'The engine is the product and knows no protocol and no kernel.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: { path: '^(src|test|hack)/', pathNot: '^src/engine/' },
    },
    {
      name: 'engine-pure-packages',
      comment: 'Only packages that compute; whatever does input or output is behind a port.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-no-pkg'], pathNot: packages(['ipaddr\\.js', 'zod']) },
    },
    {
      name: 'engine-no-io',
      comment: 'Node.js modules that reach the machine belong behind a port.',
      severity: 'error',
      from: { path: '^src/engine/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|util|events|timers|timers/promises|net)$' },
    },
    {
      name: 'linux-only-engine',
      comment: 'The kernel adapters implement the ports of the engine.',
      severity: 'error',
      from: { path: '^src/linux/' },
      to: { path: '^src/', pathNot: '^src/(linux|engine)/' },
    },
    ...FRONT_ENDS.map((frontEnd) => ({
      name: `${frontEnd}-only-engine`,
      comment: 'Front ends import the engine; never each other, never the kernel adapters.',
      severity: 'error',
      from: { path: `^src/${frontEnd}/` },
      to: { path: '^src/', pathNot: `^src/(${frontEnd}|engine)/` },
    })),
    ...FRONT_ENDS.map((frontEnd) => ({
      name: `${frontEnd}-packages`,
      comment: 'A front end takes from npm what its protocol needs.',
      severity: 'error',
      from: { path: `^src/${frontEnd}/` },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-no-pkg'], pathNot: packages(FRONT_END_PACKAGES[frontEnd]) },
    })),
    {
      name: 'page-only-itself',
      comment: 'The page runs in a browser: nothing of Node.js, nothing of npm; of the engine its types.',
      severity: 'error',
      from: { path: '^src/page/' },
      to: { pathNot: '^src/page/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'page-types-of-engine',
      severity: 'error',
      from: { path: '^src/page/' },
      to: { path: '^src/', pathNot: '^src/(page|engine)/' },
    },
    {
      name: 'page-is-served',
      comment: 'What runs in a browser is sent there as files, never loaded by the agent.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/page/' },
      to: { path: '^src/page/' },
    },
    {
      name: 'koffi-in-one-place',
      comment: 'Calls into C are made, and their memory is owned, in one folder.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/linux/ffi/' },
      to: { path: '(^|/)node_modules/koffi/' },
    },
    {
      name: 'programs-in-few-places',
      comment: 'Starting programs costs a fork of the agent: only where a protocol says so, in src/linux or src/app.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(linux|app)/' },
      to: { path: '^(node:)?child_process$' },
    },
    {
      name: 'only-main-wires',
      comment: 'src/app and src/main.ts put the layers together; nothing depends on them.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(app/|main\\.ts$)' },
      to: { path: '^src/(app/|main\\.ts$)' },
    },
    {
      name: 'sources-without-tests',
      comment: 'What ships imports nothing that does not.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|hack)/' },
    },
    {
      name: 'sources-without-dev-packages',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)fixtures/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
