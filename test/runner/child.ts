/**
 * Executes one test file, in a process of its own: `node test/runner/child.ts FILE`. Puts the watched
 * uvu in the place of uvu, imports the file, runs what it queued, and reports through `events.ts`.
 * What it is not: it decides nothing about success. The runner does (`outcome.ts`), because a file can
 * also fail by hanging, by exiting early or by leaving processes behind.
 */
import { registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { emit } from './events.ts';

/** uvu's queue entry for one `run()`: errors as text or `true`, passed, skipped, total. */
type QueuedRun = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

/** How long a file may keep the process alive after its last test. */
const LINGER_MS = 10_000;

const file = process.argv[2];
if (file === undefined) throw new Error('usage: node test/runner/child.ts FILE');
const fileUrl = pathToFileURL(resolve(file)).href;
// The file sees the arguments it would have when run directly.
process.argv.splice(1, 2, resolve(file));

const strictUrl = new URL('./strict-uvu.ts', import.meta.url).href;
registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier === 'uvu' && context.parentURL !== strictUrl) return { url: strictUrl, shortCircuit: true };
    return nextResolve(specifier, context);
  },
});

// uvu's own protocol for being driven from outside (uvu/run): queue, do not start by yourself.
const queue: QueuedRun[] = [];
Object.assign(globalThis, { UVU_DEFER: 1, UVU_QUEUE: [queue], UVU_INDEX: 0 });

const { findForgottenSuites } = await import('./strict-uvu.ts');
await import(fileUrl);

let passed = 0;
let failed = 0;
let skipped = 0;
for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
  const [errors, suitePassed, suiteSkipped, suiteTotal] = await run();
  if (errors !== true) process.stdout.write(`\n${errors}\n`);
  passed += suitePassed;
  failed += suiteTotal - suitePassed;
  skipped += suiteSkipped;
}
for (const message of findForgottenSuites()) emit({ type: 'problem', message });
if (failed > 0) process.exitCode = 1;
emit({ type: 'done', passed, failed, skipped });

setTimeout(() => {
  const open = process.getActiveResourcesInfo().join(', ');
  emit({ type: 'problem', message: `still running ${LINGER_MS / 1000} s after its last test; open: ${open}` });
  process.exit(1);
}, LINGER_MS).unref();
