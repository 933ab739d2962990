/**
 * The command line: names, options, exit codes. The commands' bodies are in the files beside it.
 * Exit codes: 0, 1 for a failure, 2 for wrong usage. Data goes to stdout, words about it to stderr.
 */
import { Command, CommanderError, Option } from 'commander';
import { type BerthError, toBerthError } from '../engine/errors.ts';
import { addAgentOptions } from './agent-options.ts';
import { attachmentsCommand, statusCommand } from './commands.ts';
import { addCompletion } from './completion.ts';
import { addDashboardOptions } from './dashboard.ts';
import { examplesText } from './examples.ts';
import { explainCommand } from './explain.ts';
import { gcCommand } from './gc.ts';
import { addHelp } from './help.ts';
import { addInstallCommands } from './install.ts';
import { captureCommand, type InventoryQuery, inventoryCommand } from './inventory.ts';
import { inventoryDiffCommand } from './inventory-diff.ts';
import { lintCommand } from './lint.ts';
import { pageCommand } from './page.ts';
import { planCommand } from './plan.ts';
import type { AgentOptions, DashboardOptions, ProgramDeps } from './port.ts';
import { fromSdpArguments } from './sdp-arguments.ts';
import { printableLines } from './table.ts';
import { topologyCommand } from './topology/command.ts';
import { readVariables } from './variables.ts';
import { watchCommand } from './watch/command.ts';

const RUN_DIR = '/run/berth';

const PROGRAM_NOTES = `
Data goes to stdout, words about it to stderr. Exit status: 0, 1 for a failure, 2 for wrong usage.
berth help COMMAND shows the options of a command and examples, berth help ERROR what an error means.`;

/** Parses `argv` (without node and script) and runs one command; resolves with the exit status. */
export async function runProgram(argv: readonly string[], deps: ProgramDeps): Promise<number> {
  let status = 0;
  const program = buildProgram(deps, (code) => {
    status = code;
  });
  try {
    await program.parseAsync([...(argumentsOf(argv, deps) ?? argv)], { from: 'user' });
    return status;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    deps.output.err(describe(toBerthError(thrown)));
    return 1;
  }
}

/** Those of the device plugin that Berth stands in for are its own, and it says so. */
function argumentsOf(argv: readonly string[], { output }: ProgramDeps): readonly string[] | undefined {
  const plugin = fromSdpArguments(argv);
  if (plugin === undefined) return undefined;
  const ignored = plugin.ignored.length === 0 ? '' : `; ignored: ${plugin.ignored.join(' ')} (logs go to stderr)`;
  output.err(
    `berth: these are the arguments of the SR-IOV network device plugin; running berth ${plugin.argv.join(' ')}${ignored}\n`,
  );
  return plugin.argv;
}

/** What a person reads of an error: what, why, what to do. */
function describe(error: BerthError): string {
  const kernel = error.extack === undefined ? '' : ` (kernel: ${error.extack})`;
  const remedy = error.remedy === undefined ? '' : `\n  ${error.remedy}`;
  const page = `\n  See berth help ${error.reason}, or docs/troubleshooting.md#${error.reason}`;
  const trace = error.code === 'Internal' && error.stack !== undefined ? `\n${error.stack}` : '';
  return `${printableLines(`berth: ${error.message}${kernel} [${error.reason}]${remedy}${page}${trace}`)}\n`;
}

/** The whole command line; `done` is told the exit status of the command that ran. */
export function buildProgram(deps: ProgramDeps, done: (status: number) => void): Command {
  const program = new Command('berth')
    .description('Puts SR-IOV virtual functions, macvlan and ipvlan links into pods, and shows what a node has.')
    .version(deps.version)
    // What stands behind a command's name is that command's: `inventory diff -o json` has its own -o.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: (text) => deps.output.out(text), writeErr: (text) => deps.output.err(text) })
    .showHelpAfterError('(berth help lists the commands)')
    .addHelpText('after', PROGRAM_NOTES)
    .hook('preAction', (_, command) => readVariables(command));
  const run =
    <T extends unknown[]>(body: (...args: T) => Promise<number>) =>
    async (...args: T) =>
      done(await body(...args));

  program.commandsGroup('Run:');
  addAgentOptions(
    program.command('agent').description('run the agent: device plugin, CNI and inventory of this node'),
  ).action(run((options: AgentOptions) => deps.runAgent(options)));

  addDashboardOptions(
    program.command('dashboard').description('serve a page of all nodes, from their objects in the cluster'),
  ).action(run((options: DashboardOptions) => deps.runDashboard(options)));

  program.commandsGroup('See what the node has:');
  const inventory = program
    .command('inventory')
    .enablePositionalOptions()
    .description('list NICs, virtual functions and uplinks, who has them, and what is wrong with them')
    .addOption(formatOption(['table', 'wide', 'json', 'yaml']))
    .option('--counters', 'with what the PFs counted of each VF, and interfaces of themselves; asks the drivers')
    .addOption(rootOption())
    .addOption(runDirOption())
    .argument('[devices...]', 'only these, by any name that they have, with the VFs of a NIC; all without them')
    .action(run((devices: readonly string[], query: InventoryQuery) => inventoryCommand(deps, devices)(query)));
  inventory
    .command('diff')
    .argument('<before>', 'a file of berth inventory -o json or yaml, or a captured tree')
    .argument('<after>', 'the same, of later')
    .description('compare two saved inventories (JSON or YAML) or captured trees')
    .addOption(formatOption(['text', 'json', 'yaml']))
    .option('--exit-code', 'exit with 1 when something differs')
    .action(run(inventoryDiffCommand(deps)));

  program
    .command('topology')
    .description('draw NUMA nodes, PCIe roots, NICs, virtual functions and pods')
    .addOption(formatOption(['text', 'svg']))
    .addOption(rootOption())
    .addOption(runDirOption())
    .action(run(topologyCommand(deps)));

  program
    .command('watch')
    .description('show the devices of this node live: filter, sort, findings')
    .addOption(runDirOption())
    .action(run(watchCommand(deps)));

  program
    .command('page')
    .description("print the address of the agent's page, with its token, for a browser")
    .addOption(runDirOption())
    .action(run(pageCommand(deps)));

  program
    .command('capture')
    .argument('<directory>', 'where to, new or empty; - for a tar archive on standard output')
    .description('write what is read of this node as a tree of files, for --root')
    .addOption(rootOption())
    .action(run(captureCommand(deps)));

  program.commandsGroup('Configure:');
  program
    .command('explain')
    .argument(
      '<device>',
      'interface or alternative name, PCI or hardware address, PF#VF, serial number, or a slot such as eth0-3',
    )
    .description("tell for one device, by any name it has, each pool's verdict")
    .option('-f, --file <file>', 'a configuration to judge by, instead of the running one')
    .addOption(prefixOption())
    .addOption(formatOption(['text', 'json', 'yaml']))
    .addOption(rootOption())
    .addOption(runDirOption())
    .action(run(explainCommand(deps)));

  program
    .command('plan')
    .description('show what a configuration would offer on this node')
    .option('-f, --file <file>', 'the configuration; the running one without it')
    .option('--against <file>', 'compare with this file, instead of what runs')
    .addOption(prefixOption())
    .addOption(formatOption(['table', 'wide', 'json', 'yaml']))
    .addOption(rootOption())
    .addOption(runDirOption())
    .action(run(planCommand(deps)));

  program
    .command('lint')
    .description('list every problem of a configuration file, or of network definitions')
    .option('-f, --file <file>', 'the configuration')
    .option('--networks <file>', 'NetworkAttachmentDefinitions or CNI configurations, instead; - for standard input')
    .option('--print-schema', 'print the JSON Schema of the file for editors, instead')
    .addOption(prefixOption())
    .addOption(formatOption(['text', 'json', 'yaml']))
    .action(run(lintCommand(deps)));

  program.commandsGroup('See what the agent does:');
  program
    .command('attachments')
    .description('list what is in which pod')
    .addOption(formatOption(['table', 'json', 'yaml']))
    .addOption(runDirOption())
    .action(run(attachmentsCommand(deps)));

  program
    .command('gc')
    .description('collect what nobody will delete: attachments of dead sandboxes, unfinished restores, old addresses')
    .option('--dry-run', 'only tell what would be done')
    .addOption(formatOption(['table', 'json', 'yaml']))
    .addOption(runDirOption())
    .action(run(gcCommand(deps)));

  program
    .command('status')
    .description("show the agent's state: resources, registration, problems")
    .addOption(formatOption(['text', 'json', 'yaml']))
    .option('--exit-code', 'exit with 1 when the agent is not ready, as /readyz tells it')
    .addOption(runDirOption())
    .action(run(statusCommand(deps)));

  program.commandsGroup('Install:');
  addInstallCommands(program, deps, done);
  addHelp(program, deps);
  addCompletion(program, deps, done);
  addExamples(program, '');
  return program;
}

function addExamples(command: Command, words: string): void {
  for (const inner of command.commands) {
    const name = words === '' ? inner.name() : `${words} ${inner.name()}`;
    inner.addHelpText('after', examplesText(name)).showHelpAfterError(`(berth help ${name} shows its options)`);
    addExamples(inner, name);
  }
}

function runDirOption(): Option {
  return new Option('--run-dir <dir>', "the agent's sockets and records").env('BERTH_RUN_DIR').default(RUN_DIR);
}

function prefixOption(): Option {
  return new Option('--resource-prefix <domain>', "first part of resource names, before the file's own default");
}

function rootOption(): Option {
  return new Option('--root <dir>', 'a captured tree to read instead of this node').default('/');
}

function formatOption(formats: readonly [string, ...string[]]): Option {
  return new Option('-o, --output <format>', 'how to print it').choices([...formats]).default(formats[0]);
}
