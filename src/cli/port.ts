/** What the commands need from outside: injected by `src/main.ts`, faked by tests. */
import type { InstallReport, RemoveReport } from '../engine/installation/index.ts';
import type { PlanReport, RunningNode } from '../engine/pools/plan-report.ts';
import type { ConfigProblem, Explanation, InventoryView } from '../engine/view.ts';

export interface Output {
  /** Data. */
  out(text: string): void;
  /** Words about it. */
  err(text: string): void;
  readonly color: boolean;
  readonly now: () => Date;
}

/** A node read without an agent: live, or from a captured tree. Pods are unknown then. */
export interface NodeAccess {
  inventory(root: string): Promise<InventoryView>;
  plan(question: PlanQuestion): Promise<PlanAnswer>;
  explain(question: ExplainQuestion): Promise<Explanation>;
  lint(configPath: string, resourcePrefix?: string): Promise<readonly ConfigProblem[]>;
  /** The configuration file's JSON Schema. */
  configSchema(): unknown;
  capture(root: string, directory: string): Promise<CaptureReport>;
}

/** The running agent's knowledge, which a node that is read without it lacks. */
export interface RunningAgent extends RunningNode {
  /** That it was started with. */
  readonly resourcePrefix?: string;
}

export interface PlanQuestion {
  readonly root: string;
  /** The running configuration, or the default file, when absent. */
  readonly file?: string;
  /** Another file to compare with, instead of what runs. */
  readonly against?: string;
  readonly resourcePrefix?: string;
  readonly running?: RunningAgent;
}

/** The document of `plan -o json`. */
export interface PlanAnswer extends PlanReport {
  readonly problems: readonly ConfigProblem[];
}

export interface ExplainQuestion {
  readonly root: string;
  readonly device: string;
  readonly file?: string;
  readonly resourcePrefix?: string;
  readonly running?: RunningAgent;
}

export interface CaptureReport {
  readonly files: number;
  readonly bytes: number;
  readonly notes: readonly string[];
}

/** Asks for a path of the running agent's API (GET when absent); throws `NotFound` with reason `agent-away` when none runs. */
export type AgentAccess = <T>(runDir: string, path: string, method?: 'GET' | 'POST') => Promise<T>;

/** Of `berth agent`; what is absent comes from the configuration file, then from the defaults. */
export interface AgentOptions {
  readonly config?: string;
  readonly runDir?: string;
  readonly stateDir?: string;
  readonly kubeletDir?: string;
  readonly deviceInfoDir?: string;
  readonly cdiDir?: string;
  /** `true` comes before what the file says. */
  readonly useCdi?: boolean;
  readonly nodeName?: string;
  readonly resourcePrefix?: string;
  /** Where the node's `/proc/sys/net` is writable, if its own is not: `<procRoot>/sys/net`. */
  readonly procRoot?: string;
  /** The runtime's plugin folder, in which the agent keeps its shim; it installs nothing when absent. */
  readonly installInto?: string;
  /** Further names for the shim, those of plugins that it stands in for. */
  readonly installAs?: readonly string[];
  /** Address and port of the page, or `off`. */
  readonly pageListen?: string;
  /** Host and port of the probes and metrics; neither is served when absent. */
  readonly listen?: string;
  readonly logLevel: string;
}

export interface InstallerOptions {
  readonly cniBinDir: string;
  readonly runDir: string;
  /** The release's own when absent. */
  readonly shim?: string;
}

/** What puts files in place on this node, and takes them away. */
export interface Installer {
  install(options: InstallerOptions, as: readonly string[]): Promise<InstallReport>;
  /** With `onWait`, waits for the end of living attachments and calls it each time with their number. */
  uninstall(
    options: InstallerOptions,
    request: { readonly names?: readonly string[]; readonly onWait?: (live: number) => void },
  ): Promise<RemoveReport>;
  placeConfiguration(from: string, to: string): Promise<void>;
  /** False when there is none. */
  removeConfiguration(path: string): Promise<boolean>;
}

export interface ProgramDeps {
  readonly version: string;
  readonly output: Output;
  readonly node: NodeAccess;
  readonly agent: AgentAccess;
  readonly installer: Installer;
  /** Runs until a signal; resolves with the exit status. */
  readonly runAgent: (options: AgentOptions) => Promise<number>;
}
