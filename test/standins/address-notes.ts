/** What is noted of reserved addresses (src/linux/files/owned-addresses.ts); what is struck out is nothing that is left. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The notes in a folder of them, and the names of other files there; empty without one. */
export function notesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    if (name !== 'notes') return [name];
    const lines = readFileSync(join(folder, name), 'utf8').split('\n');
    return lines.filter((line) => line !== '' && !line.startsWith('-'));
  });
}
