/**
 * The quick start's part that is done by hand, as a reader types it: the commands are read from the
 * page and given to one shell, and what the page shows is compared as far as it is the same each time.
 */
import * as assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { headingsOf } from '../../docs/markdown.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';

interface Step {
  /** With the lines of its here-document. */
  readonly command: string;
  /** What the page shows after it. */
  readonly shown: string;
}

interface Outcome {
  readonly status: number;
  readonly output: string;
}

const ROOT = join(import.meta.dirname, '../../..');
const test = suite<{ shell: Shell }>('quick start');

/** Of the page's section, which only its blocks of code have. */
function steps(): readonly Step[] {
  const page = readFileSync(join(ROOT, 'docs/quick-start.md'), 'utf8');
  assert.ok(headingsOf(page).some(({ text }) => text === 'By hand'));
  const section = page.slice(page.indexOf('### By hand'), page.indexOf('## On a cluster'));
  const blocks = [...section.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
  const found: { command: string; shown: string }[] = [];
  let hereDocument = false;
  for (const line of blocks.join('').split('\n')) {
    const last = found.at(-1);
    if (hereDocument && last !== undefined) {
      last.command += `\n${line}`;
      hereDocument = line !== 'END';
    } else if (line.startsWith('# ')) {
      found.push({ command: line.slice(2), shown: '' });
      hereDocument = line.includes('<<END');
    } else if (last !== undefined) last.shown += `${line}\n`;
  }
  return found;
}

/** One shell for all commands, whose variables and jobs stay. */
class Shell {
  readonly #child: ChildProcessWithoutNullStreams = spawn('bash', ['--norc'], { cwd: ROOT });
  #seen = '';
  #count = 0;

  constructor() {
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#seen += text;
    });
    this.#child.stdin.write('exec 2>&1\n');
  }

  async run(command: string): Promise<Outcome> {
    this.#count += 1;
    this.#seen = '';
    const mark = `@@${this.#count}`;
    this.#child.stdin.write(`{\n${command}\n} </dev/null\nprintf '\\n${mark} %s\\n' "$?"\n`);
    for (;;) {
      const [, output = '', status] = new RegExp(`^([\\s\\S]*)\\n${mark} (\\d+)\\n`).exec(this.#seen) ?? [];
      if (status !== undefined) return { output, status: Number(status) };
      await once(this.#child.stdout, 'data');
    }
  }

  async end(): Promise<void> {
    await this.run('kill %1; wait; for name in $(ip netns list | cut -d" " -f1); do ip netns del "$name"; done');
    await this.run('rm -rf /tmp/cni /tmp/fast.json /tmp/agent.log /run/berth');
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}

if (requireFeature('SR-IOV', hasSriov())) {
  test.before((context) => {
    context.shell = new Shell();
  });

  test.after(async ({ shell }) => {
    await shell.end();
    writeFileSync('/sys/class/net/eth0/device/sriov_numvfs', '0');
  });

  test('the commands of the page do what it shows', async ({ shell }) => {
    const typed = steps();
    assert.ok(typed.length > 10, `${typed.length} commands`);
    const answers: string[] = [];
    for (const { command, shown } of typed) {
      // What a reader waits for by typing on slowly. Programs of the checkout take seconds to start here.
      if (shown.startsWith('No attachments.')) await until(shell, 'test -z "$(ls /run/berth/attachments)"');
      const outcome = await shell.run(command);
      if (command.endsWith('&')) await until(shell, 'test -S /run/berth/api.sock');
      const isRefused = shown.includes('"code":');
      assert.equal(outcome.status, isRefused ? 1 : 0, `${command}: ${outcome.output}`);
      compare(command, outcome.output, shown);
      if (command.startsWith('CNI_COMMAND=')) answers.push(outcome.output);
    }
    assert.equal(answers.length, 2);
    assert.match(answers[1] ?? '', /docs\/troubleshooting\.md#attachment-exists/);
  });
}

test.run();

async function until(shell: Shell, condition: string): Promise<void> {
  const { status } = await shell.run(`for i in $(seq 600); do ${condition} && break; sleep 0.1; done; ${condition}`);
  assert.equal(status, 0, condition);
}

/** Addresses, times and names of the machine differ; forms do not. */
function compare(command: string, output: string, shown: string): void {
  const [first = ''] = shown.split('\n');
  if (first.startsWith('{')) assert.deepEqual(formOf(output), formOf(first), command);
  else if (first !== '' && first !== '...') {
    assert.equal(words(output.split('\n')[0] ?? ''), words(first), command);
  }
  for (const [address = ''] of shown.matchAll(/0000:41:1[01]\.\d/g)) assert.ok(output.includes(address), command);
}

function formOf(json: string): unknown {
  const { code, ...fields } = JSON.parse(json) as Record<string, unknown>;
  return { code, fields: Object.keys(fields) };
}

function words(line: string): string {
  return line.trim().replaceAll(/ +/g, ' ');
}
