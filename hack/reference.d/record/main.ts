/**
 * Runs in the lab, started by `hack/reference --record FOLDER`: makes a node with pods as the demo does,
 * and writes down what an agent answers there, and what the commands print that change a node.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createKubelet } from '../../../test/standins/kubelet/index.ts';
import type { NetworkDefinition } from '../../../test/standins/runtime/index.ts';
import { BERTH, startCluster } from '../../demo.d/cluster.ts';
import { nameVfs, run, setVfCount } from '../../demo.d/machine.ts';
import { ANSWERS } from '../recorded-paths.ts';

const PLUGIN_FOLDER = '/opt/cni/bin';
const SERVING = /"msg":"serving"/;

const [, , folder] = process.argv;
if (folder === undefined) throw new Error('usage: node hack/reference.d/record/main.ts FOLDER');

await run('ip', 'link', 'set', 'eth0', 'up');
await run('ip', 'link', 'set', 'eth1', 'up');
setVfCount('eth0', 4);
await nameVfs('eth0');
await write('agent.txt', await logOfStart());
const cluster = await startCluster();
try {
  await write('before.json', await berth('inventory', '-o', 'json'));
  for (const name of ['fast-a', 'fast-b']) await cluster.runPod(name, network('fast', 'vf', '10.10.1.0/24'));
  await cluster.runPod('shared-a', network('shared', 'macvlan', '10.10.2.0/24'));
  setVfCount('eth1', 2);
  await nameVfs('eth1');
  await cluster.kubelet.until(() => cluster.kubelet.node().allocatable['berth.dev/vf'] === 6, 'the new VFs', 60_000);
  await write('after.json', await berth('inventory', '-o', 'json'));
  for (const [path, file] of Object.entries(ANSWERS)) await write(file, await answer(path));
  const [, files, bytes] = /^(\d+) files, (\d+) bytes/m.exec(await words('capture', '/tmp/node-1')) ?? [];
  await write(
    'capture.json',
    JSON.stringify({ files: Number(files), bytes: Number(bytes), notes: [], readAs: 'node-1' }),
  );
} finally {
  await cluster.close();
}
mkdirSync(PLUGIN_FOLDER, { recursive: true });
copyFileSync('/usr/lib/cni/macvlan', join(PLUGIN_FOLDER, 'macvlan'));
await write('install.json', await berth('install', '--as', 'sriov,macvlan', '-o', 'json'));
await write('uninstall.json', await berth('uninstall', '-o', 'json'));

function network(name: string, link: string, subnet: string): NetworkDefinition {
  const ipam = { type: 'host-local', ranges: [[{ subnet }]] };
  const config = { cniVersion: '1.0.0', name, type: 'berth', link, ipam };
  return { namespace: 'default', name, resourceName: `berth.dev/${link}`, config };
}

/** JSON is written so that a changed line of it can be read as one. */
function write(file: string, text: string): void {
  const path = join(folder ?? '', file);
  writeFileSync(path, file.endsWith('.json') ? `${JSON.stringify(JSON.parse(text), undefined, 2)}\n` : text);
}

async function berth(...args: string[]): Promise<string> {
  return await run(BERTH, ...args);
}

/** What a command says on stderr. */
async function words(...args: string[]): Promise<string> {
  const child = spawn(BERTH, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  for await (const chunk of child.stderr) text += String(chunk);
  return text;
}

/** The lines that an agent logs until it serves, with a kubelet that is there. */
async function logOfStart(): Promise<string> {
  const kubelet = await createKubelet({ dir: '/var/lib/kubelet' });
  const agent = spawn(BERTH, ['agent'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(agent, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: agent.stderr })) {
    lines.push(line);
    if (SERVING.test(line)) break;
  }
  agent.kill('SIGTERM');
  await ended;
  await kubelet.stop();
  return `${lines.join('\n')}\n`;
}

function answer(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: '/run/berth/api.sock', path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    call.on('error', reject).end();
  });
}
