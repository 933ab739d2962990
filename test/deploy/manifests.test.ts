/** The manifests: rendered as committed, as kubectl renders them, as the API takes them, and no more rights than named. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { type RenderedObject, render } from '../../hack/manifests.d/render.ts';
import { requireFeature } from '../runner/features.ts';
import { agentPod, DEPLOY, readManifests } from '../standins/manifests.ts';

/** The releases of Kubernetes that the manifests are for: the oldest with the field appArmorProfile, and the newest. */
const VERSIONS = ['1.30', '1.36'];
const FOLDERS = [
  'base',
  'dashboard',
  ...readdirSync(join(DEPLOY, 'overlays')).map((name) => `overlays/${name}`),
].sort();
const COMPONENTS = readdirSync(join(DEPLOY, 'components'));

const cache = process.env.BERTH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'berth');
const schemas = join(cache, 'kubernetes-validate-1.37.0');

const sorted = (objects: readonly { kind: string; metadata: { name: string } }[]) =>
  [...objects].sort((a, b) => `${a.kind}/${a.metadata.name}`.localeCompare(`${b.kind}/${b.metadata.name}`));

test('deploy/berth.yaml is what the base gives', () => {
  assert.deepEqual(readManifests(readFileSync(join(DEPLOY, 'berth.yaml'), 'utf8')), render(join(DEPLOY, 'base')));
});

test('every component is in an overlay or is named in the documentation', () => {
  const used = FOLDERS.filter((folder) => folder !== 'base').map((folder) =>
    readFileSync(join(DEPLOY, folder, 'kustomization.yaml'), 'utf8'),
  );
  const documentation = readFileSync(join(DEPLOY, '../docs/installation.md'), 'utf8');
  for (const component of COMPONENTS) {
    const isUsed = used.some((text) => text.includes(`components/${component}`));
    assert.ok(isUsed || documentation.includes(`components/${component}`), component);
  }
});

test('a kustomization with what the renderer does not know is refused', () => {
  assert.throws(() => render(join(import.meta.dirname, 'fixtures/unknown-field')), /namePrefix is not supported/);
});

const hasKustomize = spawnSync('kubectl', ['kustomize', '--help']).status === 0;
if (requireFeature('kubectl with kustomize', hasKustomize)) {
  for (const folder of FOLDERS) {
    test(`kubectl renders ${folder} to the same`, () => {
      const { stdout, stderr, status } = spawnSync('kubectl', ['kustomize', join(DEPLOY, folder)], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
      assert.deepEqual(sorted(readManifests(stdout)), sorted(render(join(DEPLOY, folder))));
    });
  }
}

if (requireFeature('the schemas of the Kubernetes API', existsSync(schemas))) {
  const refused = (objects: readonly object[], version: string): string => {
    const words = [join(import.meta.dirname, 'validate.py'), schemas, version];
    const { stdout, stderr, status } = spawnSync('python3', words, {
      input: JSON.stringify(objects),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return stdout;
  };

  for (const version of VERSIONS) {
    test(`the API of ${version} takes every object of every folder, without unknown fields`, () => {
      const objects = FOLDERS.flatMap((folder) => render(join(DEPLOY, folder)));
      assert.equal(refused(objects, version), '');
    });
  }

  test('a field that the API does not know, and a value of another type, would be noticed', () => {
    const [daemonSet] = render(join(DEPLOY, 'base')).filter(({ kind }) => kind === 'DaemonSet');
    const spec = { ...(daemonSet?.spec as object), updateStrategie: {} };
    assert.match(refused([{ ...daemonSet, spec }], '1.36'), /updateStrategie/);
    assert.match(
      refused([{ ...daemonSet, spec: { ...spec, minReadySeconds: 'soon' } }], '1.36'),
      /DaemonSet berth-agent/,
    );
  });
}

test('the agent is not privileged, has three capabilities, and a root file system that it cannot write', () => {
  const { pod, container } = agentPod();
  const { securityContext } = container;
  assert.deepEqual(securityContext.capabilities, { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_ADMIN', 'NET_RAW'] });
  assert.deepEqual(
    { ...securityContext, capabilities: undefined },
    { privileged: false, readOnlyRootFilesystem: true, capabilities: undefined },
  );
  assert.equal(pod.securityContext.seccompProfile.type, 'RuntimeDefault');
  assert.ok(!('hostPID' in pod) && !('hostIPC' in pod));
});

test('every mount and every capability of the agent has its reason in docs/security.md', () => {
  const { container } = agentPod();
  const text = readFileSync(join(DEPLOY, '../docs/security.md'), 'utf8');
  for (const { mountPath } of container.volumeMounts) assert.ok(text.includes(`\`${mountPath}\``), mountPath);
  for (const name of container.securityContext.capabilities.add) assert.ok(text.includes(`\`${name}\``), name);
});

const dashboardObjects = (): readonly RenderedObject[] => render(join(DEPLOY, 'dashboard'));

interface DashboardPod {
  readonly securityContext: object;
  readonly containers: readonly { readonly image: string; readonly securityContext: object }[];
}

/** Of the one object of that kind. */
function dashboardSpec<Spec>(kind: string): Spec {
  const found = dashboardObjects().filter((object) => object.kind === kind);
  assert.equal(found.length, 1, kind);
  return found[0]?.spec as unknown as Spec;
}

const rolesOf = (objects: readonly RenderedObject[]) => objects.filter(({ kind }) => /Role$/.test(kind));

test('nothing in the base gives a right at the API server', () => {
  assert.deepEqual(rolesOf(render(join(DEPLOY, 'base'))), []);
});

for (const component of COMPONENTS.filter((name) => existsSync(join(DEPLOY, 'components', name, 'rbac.yaml')))) {
  test(`the role of ${component} names its verbs, and no secrets, pods/exec or wildcards`, () => {
    const objects = readManifests(readFileSync(join(DEPLOY, 'components', component, 'rbac.yaml'), 'utf8'));
    const roles = rolesOf(objects as readonly RenderedObject[]) as unknown as readonly {
      rules: readonly { resources: readonly string[]; verbs: readonly string[] }[];
    }[];
    assert.ok(roles.length > 0);
    for (const { resources, verbs } of roles.flatMap(({ rules }) => rules)) {
      for (const word of [...resources, ...verbs])
        assert.doesNotMatch(word, /\*|secrets|exec|impersonate|bind|escalate/);
    }
  });
}

test('the dashboard may read inventories, and nothing else', () => {
  const roles = dashboardObjects().filter(({ kind }) => /Role$/.test(kind));
  assert.deepEqual(
    roles.map(({ metadata, rules }) => [metadata.name, rules]),
    [
      [
        'berth-dashboard',
        [{ apiGroups: ['berth.dev'], resources: ['nodenetworkinventories'], verbs: ['get', 'list', 'watch'] }],
      ],
    ],
  );
  const bindings = dashboardObjects().filter(({ kind }) => /Binding$/.test(kind));
  for (const { roleRef } of bindings) assert.equal((roleRef as { name?: string }).name, 'berth-dashboard');
});

test('the pod of the dashboard has nothing of the node, no capability and no root, and nobody reaches it', () => {
  const { selector, template } = dashboardSpec<{ selector: object; template: { spec: DashboardPod } }>('Deployment');
  const { containers, securityContext, ...pod } = template.spec;
  assert.deepEqual(securityContext, {
    runAsNonRoot: true,
    runAsUser: 65532,
    runAsGroup: 65532,
    seccompProfile: { type: 'RuntimeDefault' },
  });
  assert.deepEqual(
    containers.map((container) => container.securityContext),
    [
      {
        privileged: false,
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      },
    ],
  );
  for (const key of ['volumes', 'hostNetwork', 'hostPID', 'hostIPC', 'priorityClassName', 'tolerations']) {
    assert.ok(!(key in pod), key);
  }
  assert.equal(dashboardSpec<{ type: string }>('Service').type, 'ClusterIP');
  const { podSelector, ...policy } = dashboardSpec<{ podSelector: object }>('NetworkPolicy');
  assert.deepEqual(policy, { policyTypes: ['Ingress'], ingress: [] });
  assert.deepEqual(podSelector, selector);
});

test('the start-up taint gives two verbs on nodes', () => {
  const [role] = readManifests(readFileSync(join(DEPLOY, 'components/startup-taint/rbac.yaml'), 'utf8'));
  assert.deepEqual(role?.rules, [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'patch'] }]);
});

test('an update never runs two agents on a node', () => {
  const daemonSet = render(join(DEPLOY, 'base')).find(({ kind }) => kind === 'DaemonSet');
  const spec = daemonSet?.spec as unknown as { updateStrategy: { rollingUpdate: { maxSurge: number } } } | undefined;
  assert.equal(spec?.updateStrategy.rollingUpdate.maxSurge, 0);
});

const hasParser = spawnSync('apparmor_parser', ['--version']).status === 0;
if (requireFeature('apparmor_parser', hasParser)) {
  test('the AppArmor profile is one, and has the name that the component asks for', () => {
    // Without the kernel: compiled and thrown away.
    const words = ['--skip-kernel-load', '--skip-cache', '--names', join(DEPLOY, 'apparmor/berth')];
    const { stdout, stderr, status } = spawnSync('apparmor_parser', words, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(stdout.trim(), 'berth');
    const [change] = readManifests(readFileSync(join(DEPLOY, 'components/apparmor/profile.yaml'), 'utf8'));
    assert.match(JSON.stringify(change), /"localhostProfile":"berth"/);
  });

  test('a profile with a mistake is refused', () => {
    const words = ['--skip-kernel-load', '--skip-cache'];
    const { status } = spawnSync('apparmor_parser', words, {
      input: 'profile berth { capability net_admn, }',
      encoding: 'utf8',
    });
    assert.notEqual(status, 0);
  });
}

test('the manifests install the release that this is', () => {
  const { version } = JSON.parse(readFileSync(join(DEPLOY, '../package.json'), 'utf8')) as { version: string };
  assert.equal(agentPod().container.image, `berth.dev/berth:${version}`);
  const dashboard = dashboardSpec<{ template: { spec: DashboardPod } }>('Deployment');
  assert.equal(dashboard.template.spec.containers[0]?.image, `berth.dev/berth:${version}`);
});

test.run();
