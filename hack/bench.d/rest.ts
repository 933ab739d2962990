/**
 * `hack/bench rest`: what the agent costs a node on which nothing happens. Processor time by the
 * minute and resident memory, with 14 and with 256 VFs, with the page and without it (nobody looks
 * at it), asked by kubelet's probes and Prometheus as the DaemonSet is, and with everything of the
 * cluster switched on.
 *
 * All agents rest side by side, each with folders and a kubelet of its own: what a process used is
 * counted by the kernel, whoever else runs. Each value is a minute; `--runs 40` takes six, so that the
 * full scan of every five minutes is in one of them and shows in `.max`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { type ApiServer, startApiServer } from '../../test/standins/apiserver/agent-calls.ts';
import { createKubelet } from '../../test/standins/kubelet/index.ts';
import { generateTree } from '../../test/trees/generate.ts';
import { type Agent, processorMs, residentMiB, withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { type Measurement, measurement } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';

const MINUTE_MS = 60_000;
/** Registration, the page's program and the first write to the API server are over by then. */
const SETTLE_MS = 20_000;
const PAGE_PORT = 9474;
const PROBE_PORT = 9717;
const NODE = 'node-1';
/** As in deploy/base/daemon-set.yaml; Prometheus asks twice a minute mostly. */
const PROBES = [
  { path: '/healthz', everyMs: 20_000 },
  { path: '/readyz', everyMs: 5_000 },
  { path: '/metrics', everyMs: 30_000 },
] as const;

interface Rester {
  /** What its rows are called: `rest.cpu.<name>`. */
  readonly name: string;
  readonly vfsOfEach: 7 | 128;
  readonly options: readonly string[];
  readonly isProbed?: boolean;
}

interface Rested {
  readonly name: string;
  /** Percent of one processor, by minute. */
  readonly cpu: readonly number[];
  /** At the end of each minute. */
  readonly rssMiB: readonly number[];
}

export async function benchRest(bench: Bench): Promise<Measurement[]> {
  const minutes = Math.max(1, Math.ceil((bench.runs * 6) / 40));
  for (const vfs of [7, 128]) {
    mkdirSync(treeOf(vfs));
    generateTree(treeOf(vfs), { node: NODE, numaNodes: 2, pfs: [0, 1].map(() => ({ totalVfs: vfs, vfs })) });
  }
  const server = await startApiServer(NODE);
  const kubeconfig = `${WORK_DIR}/kubeconfig`;
  writeFileSync(kubeconfig, server.kubeconfig);
  const cluster = ['--publish-inventory', '--publish-events', '--label-node', '--remove-startup-taint'];
  const resters: readonly Rester[] = [
    { name: '14', vfsOfEach: 7, options: [] },
    { name: '14.nopage', vfsOfEach: 7, options: ['--page-listen', 'off'] },
    { name: '256', vfsOfEach: 128, options: [] },
    { name: '256.nopage', vfsOfEach: 128, options: ['--page-listen', 'off'] },
    { name: '256.probed', vfsOfEach: 128, options: ['--listen', `127.0.0.1:${PROBE_PORT}`], isProbed: true },
    { name: '256.cluster', vfsOfEach: 128, options: [...cluster, '--kubeconfig', kubeconfig, '--node-name', NODE] },
  ];
  bench.say(`rest: ${resters.length} agents, ${minutes} min`);
  try {
    const rested = await Promise.all(resters.map((rester, index) => rest(bench, rester, index, minutes)));
    requireOneWrite(server);
    return rested.flatMap(({ cpu, name, rssMiB }) => [
      measurement(`rest.cpu.${name}`, 'percent', { berth: cpu }),
      measurement(`rest.cpu.${name}.max`, 'percent', { berth: cpu }, { share: 1 }),
      measurement(`rest.rss.${name}`, 'MiB', { berth: rssMiB }, { share: 1 }),
    ]);
  } finally {
    await server.close();
  }
}

async function rest(bench: Bench, rester: Rester, index: number, minutes: number): Promise<Rested> {
  const { name, options, vfsOfEach, isProbed } = rester;
  const folder = `${WORK_DIR}/rest-${index}`;
  mkdirSync(folder);
  const kubelet = await createKubelet({ dir: `${folder}/kubelet` });
  const own = ['run', 'state', 'kubelet', 'device-info', 'cdi'].flatMap((part) => [
    `--${part}-dir`,
    `${folder}/${part}`,
  ]);
  const page = options.includes('--page-listen') ? [] : ['--page-listen', `127.0.0.1:${PAGE_PORT + index}`];
  try {
    return await withAgent(
      bench,
      { tree: treeOf(vfsOfEach), options: [...own, ...page, ...options] },
      async (agent) => {
        await kubelet.until(() => kubelet.node().allocatable['berth.dev/vf'] === 2 * vfsOfEach, 'the VFs', MINUTE_MS);
        const stopProbing = isProbed === true ? probe() : undefined;
        try {
          await setTimeout(SETTLE_MS);
          return { name, ...(await minutesOf(agent, minutes)) };
        } finally {
          stopProbing?.();
        }
      },
    );
  } finally {
    await kubelet.stop();
  }
}

async function minutesOf(agent: Agent, minutes: number): Promise<Pick<Rested, 'cpu' | 'rssMiB'>> {
  const cpu: number[] = [];
  const rssMiB: number[] = [];
  for (let minute = 0; minute < minutes; minute++) {
    const [usedMs, startedMs] = [processorMs(agent), performance.now()];
    await setTimeout(MINUTE_MS);
    cpu.push(((processorMs(agent) - usedMs) / (performance.now() - startedMs)) * 100);
    rssMiB.push(residentMiB(agent));
  }
  return { cpu, rssMiB };
}

/** Asks as kubelet and Prometheus do; ends with what it returns. */
function probe(): () => void {
  const timers = PROBES.map(({ everyMs, path }) => {
    const ask = (): void => {
      const request = get({ host: '127.0.0.1', port: PROBE_PORT, path, agent: false }, (response) => {
        if (response.statusCode !== 200) throw new BenchError(`${path} answers ${response.statusCode}`);
        response.resume();
      });
      request.on('error', (error) => {
        throw new BenchError(`${path}: ${error.message}`);
      });
    };
    return setInterval(ask, everyMs);
  });
  return () => {
    for (const timer of timers) clearInterval(timer);
  };
}

/** An agent at rest that had written nothing, or went on writing, would be another measurement. */
function requireOneWrite({ requests, refused }: ApiServer): void {
  const writes = requests.filter(({ method, path }) => method === 'PATCH' && path.includes('nodenetworkinventories'));
  if (writes.length === 0 || refused.length > 0) {
    throw new BenchError(`${writes.length} writes of the inventory, ${refused.length} requests refused`);
  }
}

function treeOf(vfsOfEach: number): string {
  return `${WORK_DIR}/tree-rest-${vfsOfEach}`;
}
