/** IPAM programs that behave, and that do not: shell scripts in a CNI folder of the test's own. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IpamCall, IpamEnd } from '../../src/engine/ipam/port.ts';

const SCRIPTS: Readonly<Record<string, string>> = {
  good: `cat >"$(dirname "$0")/stdin"
env | grep '^CNI_' | sort >"$(dirname "$0")/environment"
echo '{"cniVersion":"1.0.0","ips":[{"address":"10.5.0.2/24","gateway":"10.5.0.1"}]}'`,
  failing: `cat >/dev/null; echo '{"cniVersion":"1.0.0","code":11,"msg":"the pool is full"}'; exit 1`,
  garbage: 'head -c 3000 /dev/urandom; echo words on the error stream >&2; exit 3',
  deaf: 'exec <&-; echo "{}"',
  dying: 'kill -SEGV $$',
  hanging: 'echo half an answer; while :; do sleep 1; done',
  daemonising: 'sleep 60 & echo $! >"$(dirname "$0")/left.pid"; echo "{}"',
  flooding: 'while :; do echo "all work and no play makes a dull answer"; done',
  chatting: 'i=0; while [ $i -lt 2000 ]; do echo "complaint number $i" >&2; i=$((i+1)); done; echo "{}"',
};

/** Makes the folder with every program, and things that are none under other names. */
export function makeIpamPrograms(folder: string): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, script] of Object.entries(SCRIPTS))
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  writeFileSync(join(folder, 'not-executable'), '#!/bin/sh\n', { mode: 0o644 });
  mkdirSync(join(folder, 'folder'));
  writeFileSync(join(folder, 'no-interpreter'), '#!/nowhere/sh\n', { mode: 0o755 });
  symlinkSync('good', join(folder, 'linked'));
  return folder;
}

export function callOf(folder: string, program: string, more: Partial<IpamCall> = {}): IpamCall {
  return {
    command: 'ADD',
    program,
    stdin: '{"name":"net"}',
    environment: { CNI_PATH: folder, CNI_CONTAINERID: 'c0ffee', CNI_IFNAME: 'net1', CNI_ARGS: 'K=V' },
    timeoutMs: 10_000,
    ...more,
  };
}

/** What becomes of each, wherever it is executed. */
export const ENDS: readonly {
  readonly program: string;
  readonly end: IpamEnd;
  readonly more?: Partial<IpamCall>;
  readonly stdout?: RegExp;
  readonly stderr?: RegExp;
}[] = [
  { program: 'good', end: { kind: 'exited', status: 0 }, stdout: /10\.5\.0\.2/ },
  { program: 'linked', end: { kind: 'exited', status: 0 }, stdout: /10\.5\.0\.2/ },
  { program: 'failing', end: { kind: 'exited', status: 1 }, stdout: /the pool is full/ },
  { program: 'garbage', end: { kind: 'exited', status: 3 }, stderr: /^words on the error stream/ },
  { program: 'deaf', end: { kind: 'exited', status: 0 }, more: { stdin: 'x'.repeat(1 << 20) }, stdout: /^\{\}/ },
  { program: 'dying', end: { kind: 'signalled', signal: 11 } },
  { program: 'hanging', end: { kind: 'timed-out' }, more: { timeoutMs: 200 }, stdout: /half an answer/ },
  { program: 'daemonising', end: { kind: 'exited', status: 0 }, stdout: /^\{\}/ },
  { program: 'flooding', end: { kind: 'too-long' } },
  { program: 'chatting', end: { kind: 'exited', status: 0 }, stdout: /^\{\}/, stderr: /^complaint number 0\n/ },
  { program: 'not-executable', end: { kind: 'not-found' } },
  { program: 'folder', end: { kind: 'not-found' } },
  { program: 'absent', end: { kind: 'not-found' } },
  { program: 'good', end: { kind: 'not-found' }, more: { environment: { CNI_PATH: 'relative:' } } },
];
