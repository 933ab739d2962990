/** Body of `berth lint`: every problem of a configuration file, or the schema that editors check it by. */
import { describeProblem, isError } from '../engine/view.ts';
import type { ProgramDeps } from './port.ts';
import { printable } from './table.ts';

/** Options of the command. */
export interface LintOptions {
  readonly output: string;
  readonly file?: string;
  readonly printSchema?: true;
  readonly resourcePrefix?: string;
}

/** Exits 1 when a problem is an error, 2 without anything to do. */
export function lintCommand(deps: ProgramDeps) {
  return async ({ file, output, printSchema, resourcePrefix }: LintOptions): Promise<number> => {
    const { err, out } = deps.output;
    if (printSchema === true) {
      out(`${JSON.stringify(deps.node.configSchema(), undefined, 2)}\n`);
      return 0;
    }
    if (file === undefined) {
      err("error: required option '-f, --file <file>' not specified\n");
      return 2;
    }
    const problems = await deps.node.lint(file, resourcePrefix);
    if (output === 'json') out(`${JSON.stringify({ problems }, undefined, 2)}\n`);
    else if (problems.length === 0) err(`${file}: no problems\n`);
    else for (const problem of problems) out(`${printable(describeProblem(file, problem))}\n`);
    return problems.some(isError) ? 1 : 0;
  };
}
