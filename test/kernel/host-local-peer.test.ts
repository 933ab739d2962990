/**
 * Our host-local and the Go plugin on one folder, taking turns: each sees what the other reserved,
 * the round robin goes on where the other stopped, and each releases only its own.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../src/engine/errors.ts';
import { releaseAddresses, reserveAddresses } from '../../src/engine/ipam/host-local.ts';
import type { HostLocalSpec, IpamOwner, IpRange } from '../../src/engine/ipam/model.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { createReservationStore } from '../../src/linux/files/reservation-store.ts';
import { requireFeature } from '../runner/features.ts';
import { waitingClock } from '../standins/waiting-clock.ts';

const PLUGIN = '/usr/lib/cni/host-local';

interface Context {
  folder: string;
}

const test = suite<Context>('host-local beside the Go plugin', { folder: '' });
const never = new AbortController().signal;
const network = parseNetworkName('shared');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-peer-'));
});
test.after.each((context) => rmSync(context.folder, { recursive: true, force: true }));

/** Runs the Go plugin; answers its addresses, or its error message. */
async function peer(
  command: 'ADD' | 'DEL',
  folder: string,
  id: string,
  ranges: readonly (readonly IpRange[])[],
  requested?: readonly string[],
): Promise<string[] | string> {
  const child = spawn(PLUGIN, {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: '/none',
      CNI_IFNAME: 'net1',
      CNI_PATH: '/usr/lib/cni',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(
    JSON.stringify({
      cniVersion: '1.0.0',
      name: network,
      type: 'macvlan',
      ipam: { type: 'host-local', dataDir: folder, ranges },
      ...(requested === undefined ? {} : { args: { cni: { ips: requested } } }),
    }),
  );
  const output = await text(child.stdout);
  if (output.trim() === '') return [];
  const answer = JSON.parse(output) as { msg?: string; ips?: readonly { address: string }[] };
  return answer.msg ?? (answer.ips ?? []).map((entry) => entry.address);
}

function owner(id: string): IpamOwner {
  return { network, containerId: parseContainerId(id), ifname: parseIfName('net1') };
}

function ours(
  command: 'ADD' | 'DEL',
  folder: string,
  id: string,
  ranges: readonly (readonly IpRange[])[],
  requested: readonly string[] = [],
): Promise<readonly string[]> {
  const spec: HostLocalSpec = {
    type: 'host-local',
    rangeSets: ranges,
    requested,
    routes: [],
    dataDir: folder,
    dns: {},
  };
  return createReservationStore(waitingClock).locked(folder, network, never, (open) =>
    command === 'ADD'
      ? reserveAddresses(open, spec, owner(id)).map((entry) => entry.address)
      : releaseAddresses(open, owner(id)),
  );
}

/** The folder as it is on disk: names and bytes, the lock aside. */
function onDisk(folder: string): Record<string, string> {
  const network_ = join(folder, network);
  return Object.fromEntries(
    readdirSync(network_)
      .filter((name) => name !== 'lock')
      .sort()
      .map((name) => [name, readFileSync(join(network_, name), 'utf8')]),
  );
}

const cases: readonly { name: string; ranges: readonly (readonly IpRange[])[]; requested?: readonly string[] }[] = [
  { name: 'a subnet', ranges: [[{ subnet: '10.0.0.0/29' }]] },
  { name: 'a gateway in the middle', ranges: [[{ subnet: '10.0.0.0/29', gateway: '10.0.0.4' }]] },
  { name: 'start and end', ranges: [[{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.250', rangeEnd: '10.0.0.253' }]] },
  {
    name: 'several ranges in a set',
    ranges: [[{ subnet: '10.0.0.0/30' }, { subnet: '10.0.1.0/30' }, { subnet: '10.0.2.0/30' }]],
  },
  { name: 'two families', ranges: [[{ subnet: '10.0.0.0/29' }], [{ subnet: '2001:db8:0:0:1::/126' }]] },
  {
    name: 'a requested address',
    ranges: [[{ subnet: '10.0.0.0/29' }], [{ subnet: '10.0.1.0/29' }]],
    requested: ['10.0.1.5'],
  },
];

if (requireFeature('the Go plugin host-local (containernetworking-plugins)', existsSync(PLUGIN))) {
  for (const { name, ranges, requested } of cases) {
    test(`${name}: the same calls leave the same bytes, whoever made them`, async ({ folder }) => {
      const [left, right] = [join(folder, 'ours'), join(folder, 'theirs')];
      const ids = ['aaa', 'bbb', 'ccc', 'ddd'];
      for (const [index, id] of ids.entries()) {
        const wanted = index === 0 ? requested : undefined;
        const theirs = await peer('ADD', right, id, ranges, wanted);
        const mine = await ours('ADD', left, id, ranges, wanted).catch((error: unknown) => toBerthError(error).reason);
        if (typeof theirs === 'string') assert.is(mine, 'address-range-exhausted', theirs);
        else assert.equal(mine, theirs);
        assert.equal(onDisk(left), onDisk(right));
        if (index === 1) {
          await peer('DEL', right, 'aaa', ranges);
          await ours('DEL', left, 'aaa', ranges);
          assert.equal(onDisk(left), onDisk(right));
        }
      }
    });

    test(`${name}: taking turns on one folder, no address is given twice`, async ({ folder }) => {
      const given: string[] = [];
      for (let turn = 0; turn < 6; turn += 1) {
        const id = `c${turn}`;
        const got =
          turn % 2 === 0
            ? await ours('ADD', folder, id, ranges).catch(() => [])
            : await peer('ADD', folder, id, ranges);
        if (typeof got !== 'string') given.push(...got);
      }
      assert.ok(given.length >= 3);
      assert.is(new Set(given).size, given.length);
      // Each takes away what the other reserved, since the content is the same.
      for (let turn = 0; turn < 6; turn += 1) {
        if (turn % 2 === 1) await ours('DEL', folder, `c${turn}`, ranges);
        else assert.equal(await peer('DEL', folder, `c${turn}`, ranges), []);
      }
      assert.equal(
        Object.keys(onDisk(folder)).filter((file) => !file.startsWith('last_reserved_ip.')),
        [],
      );
    });
  }

  test('both at once: every address is given once', async ({ folder }) => {
    const ranges = [[{ subnet: '10.0.0.0/26' }]];
    const mine = Array.from({ length: 10 }, (_none, index) => ours('ADD', folder, `m${index}`, ranges));
    const theirs = Array.from({ length: 5 }, (_none, index) => peer('ADD', folder, `t${index}`, ranges));
    const given = (await Promise.all([...mine, ...theirs])).flat();
    assert.is(new Set(given).size, 15);
  });
}

test.run();
