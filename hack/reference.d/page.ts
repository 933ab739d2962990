/** The reference page of the command line, from commander's own knowledge of it. */
import type { Argument, Command, Option } from 'commander';
import { EXAMPLES } from '../../src/cli/examples.ts';

const HEAD = `# Command line

Every command of \`berth\`, made from the program by \`hack/reference\`. The same is in \`berth help COMMAND\`. The examples are of a node with two SR-IOV NICs, the [lab](lab.md)'s, which is some twenty times slower than a real one; the files that they name are in \`hack/reference.d/files\`.

Run \`berth\` on the node, as root. In a cluster that is

\`\`\`
kubectl -n berth-system exec POD -- berth status      # POD is the agent's on that node
\`\`\`

Only \`install\`, \`uninstall\` and \`gc\` change anything, and \`capture\` writes the folder that it is given. \`inventory\`, \`topology\`, \`plan\`, \`explain\`, \`lint\` and \`capture\` need no agent; the others ask the one of this node.
`;

const AROUND = `## Exit status

| Status | Means |
|---|---|
| 0 | done. Also help, and the agent's end by a signal |
| 1 | it failed: stderr has what, why and what to do. Also: \`lint\` and \`plan\` found an error in the file, \`gc\` could not collect something, \`inventory diff --exit-code\` found a difference, \`status --exit-code\` an agent that is not ready |
| 2 | wrong usage: an unknown command, option or value |
| 70 | the agent only: a bug, with its stack in the log. It recovers at its next start |

An error ends with its name in brackets and the section of [troubleshooting.md](troubleshooting.md) that is about it, which \`berth help NAME\` prints too:

\`\`\`
$ berth status
berth: no agent answers at /run/berth/api.sock: no socket is there [agent-away]
  Start it with \`berth agent\`, or give its run directory with --run-dir; if it runs, its log says what holds it up.
  See berth help agent-away, or docs/troubleshooting.md#agent-away
\`\`\`

Data goes to stdout and words about it to stderr, so \`berth inventory -o json >file\` is always JSON. Output is coloured in a terminal only.

## Environment variables

Variables of options are in the tables below. An option comes before its variable. An empty variable says nothing; one of an option without a value is \`true\` or \`false\`. Besides them:

| Variable | Of | Meaning |
|---|---|---|
| \`DP_MACVTAP_CONF\` | \`agent\`, \`plan\`, \`lint\`, \`explain\` | resources in the form of macvtap-cni: [migrating.md](migrating.md#from-macvtap-cni) |
| \`NO_COLOR\` | all | no colours, whatever its value |
| \`BERTH_NODE_OPTIONS\` | all | further options for Node.js, such as \`--inspect\` |
| \`BERTH_DIST\` | all | \`1\` takes the built release of a checkout (\`dist/\`) instead of its sources |
| \`BERTH_CACHE\` | all | where a checkout keeps Node.js and compiled code (\`~/.cache/berth\`) |
| \`UV_THREADPOOL_SIZE\`, \`NODE_COMPILE_CACHE\`, \`MALLOC_ARENA_MAX\` | all | of Node.js and the C library; \`bin/berth\` sets them where they are not set |
`;

/** The whole page. `outputOf` tells what a command line prints. */
export async function referencePage(program: Command, outputOf: (line: string) => Promise<string>): Promise<string> {
  const commands = withInner(program);
  const rows = commands.map(
    ({ command, words }) =>
      `| [\`berth ${words}\`](#berth-${words.replaceAll(' ', '-')}) | ${cell(command.description())} |`,
  );
  const sections: string[] = [];
  for (const { command, words } of commands) sections.push(await sectionOf(command, words, outputOf));
  return [HEAD, '## Commands\n', '| Command | Does |', '|---|---|', ...rows, '', AROUND, ...sections].join('\n');
}

interface Named {
  readonly command: Command;
  /** Without `berth`. */
  readonly words: string;
}

function withInner(program: Command, before = ''): readonly Named[] {
  return program.commands.flatMap((command) => {
    const words = `${before}${command.name()}`;
    return [{ command, words }, ...withInner(command, `${words} `)];
  });
}

async function sectionOf(
  command: Command,
  words: string,
  outputOf: (line: string) => Promise<string>,
): Promise<string> {
  const [first, ...others] = EXAMPLES[words] ?? [];
  if (first === undefined) throw new Error(`berth ${words} has no example: src/cli/examples.ts`);
  const printed = await outputOf(first.line);
  const shown = ['```console', `$ ${first.line}`, ...(printed === '' ? [] : [printed]), '```'].join('\n');
  const more = others.map(({ does, line }) => `- \`${line}\`: ${does}`).join('\n');
  return [
    `## berth ${words}`,
    `${sentence(command.description())}`,
    `\`\`\`\nberth ${words} ${command.usage()}\n\`\`\``,
    ...tableOf('Argument', command.registeredArguments.map(argumentRow)),
    ...tableOf('Option', command.options.map(optionRow)),
    shown,
    ...(more === '' ? [] : [more]),
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n');
}

function tableOf(title: string, rows: readonly string[]): readonly string[] {
  if (rows.length === 0) return [];
  if (title === 'Argument') return [['| Argument | Meaning |', '|---|---|', ...rows].join('\n')];
  return [['| Option | Meaning | Default | Variable |', '|---|---|---|---|', ...rows].join('\n')];
}

function argumentRow(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return `| \`${argument.required ? `<${name}>` : `[${name}]`}\` | ${cell(argument.description)} |`;
}

function optionRow(option: Option): string {
  const values = option.argChoices?.map((value) => `\`${value}\``).join(', ') ?? '';
  const meaning = values === '' ? option.description : `${option.description}: ${values}`;
  const cells = [
    `\`${option.flags}\``,
    meaning,
    defaultOf(option),
    option.envVar === undefined ? '' : `\`${option.envVar}\``,
  ];
  return `| ${cells.map(cell).join(' | ')} |`;
}

function defaultOf({ defaultValue, defaultValueDescription }: Option): string {
  if (defaultValueDescription !== undefined) return defaultValueDescription;
  return typeof defaultValue === 'string' ? `\`${defaultValue}\`` : '';
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** A pipe would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
