/** Every recorded call of a real runtime, handed to the front end as it was. */
import * as assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import { bench } from './calls.ts';

interface Recorded {
  readonly plugin?: string;
  readonly env: Record<string, string>;
  readonly stdin: Record<string, unknown>;
}

const folder = new URL('../fixtures/exchanges/', import.meta.url);

/** The recorder took everything; Berth refuses what it cannot honour, and a VF without a device. */
function expectedCode({ env, stdin }: Recorded): number | undefined {
  if (env.CNI_COMMAND !== 'ADD') return undefined;
  if (stdin.type === 'sriov' && stdin.deviceID === undefined) return 7;
  const asked = (stdin.runtimeConfig ?? {}) as Record<string, unknown>;
  // An address of a network that has no ipam.
  if (stdin.ipam === undefined && (asked.ips !== undefined || /(^|;)IP=/.test(env.CNI_ARGS ?? ''))) return 7;
  if (['portMappings', 'bandwidth', 'infinibandGUID'].some((key) => asked[key] !== undefined)) return 2;
  return undefined;
}

for (const file of readdirSync(folder)) {
  const { what, exchange } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
    what: string;
    exchange: Recorded[];
  };
  const calls = exchange.filter((entry) => entry.plugin === 'recorder');
  // Beside these are exchanges of kubelet with device plugins.
  if (calls.length === 0) continue;
  test(`recorded: ${what}`, async () => {
    for (const recorded of calls) {
      const { send, engine } = bench();
      const type = file.startsWith('multus') || file.startsWith('del') ? 'sriov' : 'macvlan';
      const config = { ...recorded.stdin, type };
      const { answer } = await send({ env: recorded.env, config: JSON.stringify(config) });
      const { CNI_COMMAND: command, CNI_CONTAINERID: containerId, CNI_IFNAME: ifname } = recorded.env;
      const label = `${command} ${JSON.stringify(answer)}`;
      assert.equal(answer.code, expectedCode({ ...recorded, stdin: config }), label);
      if (command === 'DEL') assert.deepEqual(engine.detached[0]?.key, { containerId, ifname }, label);
      if (command === 'ADD' && answer.code === undefined) {
        assert.equal(engine.attached[0]?.sandboxPath, recorded.env.CNI_NETNS, label);
        assert.equal(answer.cniVersion, recorded.stdin.cniVersion, label);
      }
    }
  });
}

test.run();
