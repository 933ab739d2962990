/**
 * The command line: names, options, exit codes. The commands' bodies are in the files beside it.
 * Exit codes: 0, 1 for a failure, 2 for wrong usage. Data goes to stdout, words about it to stderr.
 */
import { Command, CommanderError, Option } from 'commander';
import { type BerthError, toBerthError } from '../engine/errors.ts';
import { attachmentsCommand, statusCommand } from './commands.ts';
import { explainCommand } from './explain.ts';
import { gcCommand } from './gc.ts';
import { addInstallCommands, namesOf } from './install.ts';
import { captureCommand, inventoryCommand } from './inventory.ts';
import { inventoryDiffCommand } from './inventory-diff.ts';
import { lintCommand } from './lint.ts';
import { pageCommand } from './page.ts';
import { planCommand } from './plan.ts';
import type { AgentOptions, ProgramDeps } from './port.ts';
import { topologyCommand } from './topology/command.ts';
import { watchCommand } from './watch/command.ts';

const RUN_DIR = '/run/berth';

/** Parses `argv` (without node and script) and runs one command; resolves with the exit status. */
export async function runProgram(argv: readonly string[], deps: ProgramDeps): Promise<number> {
  let status = 0;
  const program = buildProgram(deps, (code) => {
    status = code;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return status;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    deps.output.err(describe(toBerthError(thrown)));
    return 1;
  }
}

/** What a person reads of an error: what, why, what to do. */
function describe(error: BerthError): string {
  const kernel = error.extack === undefined ? '' : ` (kernel: ${error.extack})`;
  const remedy = error.remedy === undefined ? '' : `\n  ${error.remedy}`;
  const trace = error.code === 'Internal' && error.stack !== undefined ? `\n${error.stack}` : '';
  return `berth: ${error.message}${kernel} [${error.reason}]${remedy}${trace}\n`;
}

function buildProgram(deps: ProgramDeps, done: (status: number) => void): Command {
  const program = new Command('berth')
    .description('Puts SR-IOV virtual functions, macvlan and ipvlan links into pods, and shows what a node has.')
    .version(deps.version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => deps.output.out(text), writeErr: (text) => deps.output.err(text) })
    .showHelpAfterError('(berth help lists the commands)');
  const run =
    <T extends unknown[]>(body: (...args: T) => Promise<number>) =>
    async (...args: T) =>
      done(await body(...args));

  program
    .command('agent')
    .description('run the agent: device plugin, CNI and inventory of this node')
    .addOption(
      new Option('--config <file>', 'pools and settings (/etc/berth/config.yaml, if it exists)').env('BERTH_CONFIG'),
    )
    .addOption(new Option('--run-dir <dir>', 'sockets and records (/run/berth)').env('BERTH_RUN_DIR'))
    .addOption(new Option('--state-dir <dir>', 'what survives a reboot (/var/lib/berth)').env('BERTH_STATE_DIR'))
    .addOption(new Option('--kubelet-dir <dir>', "kubelet's root (/var/lib/kubelet)").env('BERTH_KUBELET_DIR'))
    .addOption(
      new Option('--device-info-dir <dir>', 'device-info files for Multus (/var/run/k8s.cni.cncf.io/devinfo)').env(
        'BERTH_DEVICE_INFO_DIR',
      ),
    )
    .addOption(
      new Option('--use-cdi', 'give device nodes by the Container Device Interface, as the file may say').env(
        'BERTH_USE_CDI',
      ),
    )
    .addOption(new Option('--cdi-dir <dir>', 'CDI specifications (/var/run/cdi)').env('BERTH_CDI_DIR'))
    .addOption(
      new Option('--resource-prefix <domain>', "first part of resource names, before the file's own default").env(
        'BERTH_RESOURCE_PREFIX',
      ),
    )
    .addOption(
      new Option('--page-listen <address>', 'address and port of the page (127.0.0.1:9474), or off').env(
        'BERTH_PAGE_LISTEN',
      ),
    )
    .addOption(new Option('--node-name <name>', 'name of this node (the host name)').env('NODE_NAME'))
    .addOption(
      new Option('--proc-root <dir>', 'where sys/net of /proc is writable, if it is not in /proc').env(
        'BERTH_PROC_ROOT',
      ),
    )
    .addOption(
      new Option('--listen <host:port>', 'serve /healthz, /readyz and /metrics there (over HTTP, without secrets)').env(
        'BERTH_LISTEN',
      ),
    )
    .addOption(
      new Option(
        '--install-into <dir>',
        "keep the CNI shim in the runtime's plugin folder (as berth install does)",
      ).env('BERTH_INSTALL_INTO'),
    )
    .addOption(
      new Option('--install-as <names>', 'with --install-into: also under these names (comma-separated)')
        .env('BERTH_INSTALL_AS')
        .argParser(namesOf),
    )
    .addOption(
      new Option('--publish-inventory', "keep the node's NodeNetworkInventory in the cluster").env(
        'BERTH_PUBLISH_INVENTORY',
      ),
    )
    .addOption(
      new Option('--publish-events', 'events on the node and on pods for what goes wrong').env('BERTH_PUBLISH_EVENTS'),
    )
    .addOption(new Option('--label-node', 'facts of the NICs as labels of the node').env('BERTH_LABEL_NODE'))
    .addOption(
      new Option('--remove-startup-taint', 'take berth.dev/agent-not-ready off the node when the agent serves').env(
        'BERTH_REMOVE_STARTUP_TAINT',
      ),
    )
    .addOption(
      new Option('--kubeconfig <file>', "for these, instead of the pod's service account").env('BERTH_KUBECONFIG'),
    )
    .addOption(
      new Option('--log-level <level>', 'least important line that is logged')
        .env('BERTH_LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .action(run((options: AgentOptions) => deps.runAgent(options)));

  const inventory = program
    .command('inventory')
    .description('list NICs, virtual functions and uplinks, who has them, and what is wrong with them')
    .addOption(formatOption(['table', 'wide', 'json', 'yaml']))
    .option('--counters', 'with what the PFs counted of each VF; asks the drivers')
    .addOption(rootOption())
    .addOption(runDirOption())
    .action(run(inventoryCommand(deps)));
  inventory
    .command('diff <before> <after>')
    .description('compare two saved inventories (JSON or YAML) or captured trees')
    .addOption(formatOption(['text', 'json']))
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
    .command('capture <directory>')
    .description('write what is read of this node as a tree of files, for --root')
    .addOption(rootOption())
    .action(run(captureCommand(deps)));

  program
    .command('explain <device>')
    .description("tell for one device, by any name it has, each pool's verdict")
    .option('-f, --file <file>', 'a configuration to judge by, instead of the running one')
    .addOption(prefixOption())
    .addOption(formatOption(['text', 'json']))
    .addOption(rootOption())
    .addOption(runDirOption())
    .action(run(explainCommand(deps)));

  program
    .command('plan')
    .description('show what a configuration would offer on this node')
    .option('-f, --file <file>', 'the configuration; the running one without it')
    .option('--against <file>', 'compare with this file, instead of what runs')
    .addOption(prefixOption())
    .addOption(formatOption(['table', 'wide', 'json']))
    .addOption(rootOption())
    .addOption(runDirOption())
    .action(run(planCommand(deps)));

  program
    .command('lint')
    .description('list every problem of a configuration file')
    .option('-f, --file <file>', 'the configuration')
    .option('--print-schema', 'print the JSON Schema of the file for editors, instead')
    .addOption(prefixOption())
    .addOption(formatOption(['text', 'json']))
    .action(run(lintCommand(deps)));

  program
    .command('attachments')
    .description('list what is in which pod')
    .addOption(formatOption(['table', 'json']))
    .addOption(runDirOption())
    .action(run(attachmentsCommand(deps)));

  program
    .command('gc')
    .description('collect what nobody will delete: attachments of dead sandboxes, unfinished restores, old addresses')
    .option('--dry-run', 'only tell what would be done')
    .addOption(formatOption(['table', 'json']))
    .addOption(runDirOption())
    .action(run(gcCommand(deps)));

  program
    .command('status')
    .description("show the agent's state: resources, registration, problems")
    .addOption(formatOption(['text', 'json']))
    .addOption(runDirOption())
    .action(run(statusCommand(deps)));

  addInstallCommands(program, deps, done);
  return program;
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
