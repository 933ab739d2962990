/** Body of `berth lint`: every problem of a configuration file or of network definitions, or the schema that editors check by. */
import { describeProblem, isError } from '../engine/view.ts';
import { documentText } from './document.ts';
import type { DefinitionProblem, DefinitionReport, Output, ProgramDeps } from './port.ts';
import { printable } from './table.ts';

/** Options of the command. */
export interface LintOptions {
  readonly output: string;
  readonly file?: string;
  readonly networks?: string;
  readonly printSchema?: true;
  readonly resourcePrefix?: string;
}

/** Exits 1 when a problem is an error, 2 without anything to do. */
export function lintCommand(deps: ProgramDeps) {
  return async ({ file, networks, output, printSchema, resourcePrefix }: LintOptions): Promise<number> => {
    const { err, out } = deps.output;
    if (printSchema === true) {
      out(`${JSON.stringify(deps.node.configSchema(), undefined, 2)}\n`);
      return 0;
    }
    if ((file === undefined) === (networks === undefined)) {
      err('error: lint takes one of -f, --file <file> and --networks <file>\n(berth help lint shows its options)\n');
      return 2;
    }
    if (file === undefined) return lintNetworks(await deps.node.definitions(networks ?? '-'), output, deps.output);
    const problems = await deps.node.lint(file, resourcePrefix);
    const document = documentText({ problems }, output);
    if (document !== undefined) out(document);
    else if (problems.length === 0) err(`${file}: no problems\n`);
    else for (const problem of problems) out(`${printable(describeProblem(file, problem))}\n`);
    return problems.some(isError) ? 1 : 0;
  };
}

function lintNetworks(definitions: readonly DefinitionReport[], format: string, { err, out }: Output): number {
  const document = documentText({ definitions }, format);
  if (document !== undefined) out(document);
  else for (const definition of definitions) for (const line of linesOf(definition)) out(`${printable(line)}\n`);
  const broken = definitions.filter(({ plugins }) => plugins.some(({ errors }) => errors.length > 0));
  const types = new Set(definitions.flatMap(({ plugins }) => plugins.flatMap((own) => (own.isServed ? own.type : []))));
  const names = [...types].filter((type) => type !== 'berth').toSorted();
  const counted = `${definitions.length} definition${definitions.length === 1 ? '' : 's'}`;
  err(`${counted}, ${broken.length === 0 ? 'none' : broken.length} with errors\n`);
  if (names.length > 0) err(`the shim is needed as ${names.join(', ')}: berth install --as ${names.join(',')}\n`);
  return broken.length > 0 ? 1 : 0;
}

function linesOf({ isElsewhere, name, plugins }: DefinitionReport): readonly string[] {
  if (isElsewhere === true) return [`${name}: it has no configuration; Multus takes that of a file on the node`];
  const said = plugins.flatMap(({ errors, isServed, type, warnings }) => {
    const line = (weight: string) => (problem: DefinitionProblem) =>
      `${name}: ${weight}${type === '' ? '' : `${type}: `}${problem.path === '' ? '' : `${problem.path}: `}${problem.message}`;
    const foreign = isServed || errors.length > 0 ? [] : [`${name}: ${type}: not Berth's; it is executed as before`];
    return [...foreign, ...errors.map(line('')), ...warnings.map(line('warning: '))];
  });
  return said.length === 0 ? [`${name}: no problems`] : said;
}
