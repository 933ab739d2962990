/**
 * Loads what the demo's machine will run, and runs none of it: Node.js then keeps the compiled code
 * (NODE_COMPILE_CACHE), which the machine finds under the same paths.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const chunks = join(import.meta.dirname, '..', '..', 'dist', 'chunks');
const programs = readdirSync(chunks).filter((name) => name.endsWith('.js'));
for (const name of programs) await import(join(chunks, name));
await import('./cluster.ts');
await import('./machine.ts');
await import('./narrator.ts');
// What the chunks hold open.
process.exit(0);
