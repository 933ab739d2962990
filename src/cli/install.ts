/** `berth install` and `berth uninstall`: the shim in the runtime's plugin folder, and the configuration. */
import { type Command, Option } from 'commander';
import type { InstallAction, InstallReport, RemoveAction, RemoveReport } from '../engine/installation/index.ts';
import { describeProblem, isError } from '../engine/view.ts';
import { documentText } from './document.ts';
import type { InstallerOptions, Output, ProgramDeps } from './port.ts';
import { printable, renderTable } from './table.ts';

interface InstallOptions extends InstallerOptions {
  readonly as: readonly string[];
  readonly config?: string;
  readonly configPath: string;
  readonly remove?: boolean;
  readonly whenIdle?: boolean;
  readonly output: string;
}

interface UninstallOptions extends InstallerOptions {
  readonly as: readonly string[];
  readonly configPath: string;
  readonly purge?: boolean;
  readonly whenIdle?: boolean;
  readonly output: string;
}

const DONE: Readonly<Record<InstallAction | RemoveAction, string>> = {
  added: 'installed',
  unchanged: 'is current',
  upgraded: 'replaced an older shim',
  'took-over': "installed in place of another plugin's program",
  'took-over-again': "another plugin's program had come back; installed in its place, the newer one is kept",
  removed: 'removed',
  'put-back': "removed, the other plugin's program is back",
  'left-to-peer': "another plugin's program is there already and stays",
};

/** Adds both commands; `done` is told the exit status. */
export function addInstallCommands(program: Command, deps: ProgramDeps, done: (status: number) => void): void {
  program
    .command('install')
    .description("put the CNI shim into the runtime's plugin folder, and a configuration in place")
    .addOption(binDirOption())
    .addOption(
      asOption('also under the names of plugins that it stands in for; their programs are kept').env(
        'BERTH_INSTALL_AS',
      ),
    )
    .addOption(shimOption())
    .option('--config <file>', 'a configuration for the agent, which is checked and put in place')
    .addOption(configPathOption())
    .option('--remove', 'the same as berth uninstall')
    .option('--when-idle', 'with --remove: wait until no pod is attached')
    .addOption(runDirOption())
    .addOption(formatOption())
    .action(async (options: InstallOptions, command: Command) => {
      if (options.remove !== true) return done(await install(deps, options));
      // What the agent's container is to install under is no wish to remove these names only.
      const as = command.getOptionValueSource('as') === 'env' ? [] : options.as;
      done(await uninstall(deps, { ...options, as }));
    });
  program
    .command('uninstall')
    .description("remove the CNI shim and put other plugins' programs back; refuses while pods are attached")
    .addOption(binDirOption())
    .addOption(asOption('only under these names'))
    .addOption(shimOption())
    .option('--when-idle', 'wait until no pod is attached, then remove')
    .option('--purge', "remove the agent's configuration as well")
    .addOption(configPathOption())
    .addOption(runDirOption())
    .addOption(formatOption())
    .action(async (options: UninstallOptions) => done(await uninstall(deps, options)));
}

async function install(deps: ProgramDeps, options: InstallOptions): Promise<number> {
  const { output, installer } = deps;
  if (options.config !== undefined) {
    const problems = await deps.node.lint(options.config);
    for (const problem of problems) output.err(`${printable(describeProblem(options.config, problem))}\n`);
    if (problems.some(isError)) return 1;
    await installer.placeConfiguration(options.config, options.configPath);
    output.err(`${options.configPath}: configuration in place\n`);
  }
  const report = await installer.install(options, options.as);
  print(output, options.output, report);
  for (const name of report.alsoHeld) {
    const shown = printable(name);
    output.err(`${shown}: is Berth's from an earlier installation; \`berth uninstall --as ${shown}\` gives it back\n`);
  }
  return 0;
}

async function uninstall(deps: ProgramDeps, options: UninstallOptions): Promise<number> {
  const { output, installer } = deps;
  let said = -1;
  const report = await installer.uninstall(options, {
    ...(options.as.length === 0 ? {} : { names: options.as }),
    ...(options.whenIdle === true
      ? {
          onWait: (live: number) => {
            if (live !== said) output.err(`waiting for ${live} attachment${live === 1 ? '' : 's'} to end\n`);
            said = live;
          },
        }
      : {}),
  });
  if (options.purge === true && (await installer.removeConfiguration(options.configPath))) {
    output.err(`${options.configPath}: removed\n`);
  }
  print(output, options.output, report);
  return 0;
}

function print(output: Output, format: string, report: InstallReport | RemoveReport): void {
  const document = documentText(report, format);
  if (document !== undefined) {
    output.out(document);
    return;
  }
  if (report.names.length === 0) output.err(`${report.folder}: nothing of Berth's is there\n`);
  const rows = report.names.map(({ name, action }) => [`${report.folder}/${name}`, DONE[action]]);
  if (rows.length > 0) output.out(renderTable(['PROGRAM', 'DONE'], rows));
}

function binDirOption(): Option {
  return new Option('--cni-bin-dir <dir>', 'where the runtime looks for CNI plugins')
    .env('BERTH_CNI_BIN_DIR')
    .default('/opt/cni/bin');
}

function asOption(description: string): Option {
  return new Option('--as <names>', `${description} (comma-separated)`)
    .argParser(namesOf)
    .default([] as readonly string[], 'none');
}

/** `sriov,macvlan` */
export function namesOf(text: string): readonly string[] {
  return text.split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]));
}

function shimOption(): Option {
  return new Option('--shim <file>', "the shim to install (the release's own)");
}

function configPathOption(): Option {
  return new Option('--config-path <file>', "the agent's configuration").default('/etc/berth/config.yaml');
}

function runDirOption(): Option {
  return new Option('--run-dir <dir>', "the agent's sockets and records").env('BERTH_RUN_DIR').default('/run/berth');
}

function formatOption(): Option {
  return new Option('-o, --output <format>', 'how to print it').choices(['table', 'json', 'yaml']).default('table');
}
