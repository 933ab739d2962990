/**
 * Finds the test files and sorts them by how they may run. Folders named `fixtures` hold data and are
 * never searched.
 */
import { globSync } from 'node:fs';

/**
 * - `parallel`: ordinary files, some at a time.
 * - `serial`: files under `kernel/` and `bench/`, one at a time: they make namespaces and links, or
 *   compare the machine before and after.
 * - `lab`: files named `*.lab.ts`, one at a time inside the virtual machine, which boots once for all.
 */
export type Mode = 'parallel' | 'serial' | 'lab';

export interface TestFile {
  /** Relative to the tested folder. */
  readonly file: string;
  readonly mode: Mode;
}

/** All test files below `folder`, sorted by path. */
export function findTestFiles(folder: string): readonly TestFile[] {
  const isFixtureFolder = (entry: { name: string }): boolean => entry.name === 'fixtures';
  return globSync('**/*.{test,lab}.ts', { cwd: folder, withFileTypes: true, exclude: isFixtureFolder })
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length + 1))
    .sort()
    .map((file) => ({ file, mode: modeOf(file) }));
}

function modeOf(file: string): Mode {
  if (file.endsWith('.lab.ts')) return 'lab';
  return /^(kernel|bench)\//.test(file) ? 'serial' : 'parallel';
}

/**
 * The files whose path contains one of the filters; a filter may be written as a path from the
 * checkout (`test/engine/values.test.ts`) too. Filters that match nothing come back by name, because
 * a run that silently tests less than was asked for must not succeed.
 */
export function selectFiles(
  files: readonly TestFile[],
  filters: readonly string[],
  folderName: string,
): { readonly selected: readonly TestFile[]; readonly unmatched: readonly string[] } {
  if (filters.length === 0) return { selected: files, unmatched: [] };
  const matches = (file: TestFile, filter: string): boolean => `${folderName}/${file.file}`.includes(filter);
  return {
    selected: files.filter((file) => filters.some((filter) => matches(file, filter))),
    unmatched: filters.filter((filter) => !files.some((file) => matches(file, filter))),
  };
}
