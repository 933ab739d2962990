/** What the commands need from outside: injected by `src/main.ts`, faked by tests. */

import type { FeedDocument } from '../engine/feed/document.ts';
import type { InstallReport, RemoveReport } from '../engine/installation/index.ts';
import type { SavedInventory } from '../engine/inventory/compare.ts';
import type { LinkCounters, Netdev } from '../engine/inventory/model.ts';
import type { PlanReport, RunningNode } from '../engine/pools/plan-report.ts';
import type { ConfigProblem, CountersView, Explanation, InventoryView } from '../engine/view.ts';

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
  /** Counters of the VFs; of a tree those of its capture. */
  counters(root: string): Promise<CountersView>;
  /** What interfaces that are on the node counted themselves, by name. */
  linkCounters(
    root: string,
    links: readonly Pick<Netdev, 'ifname' | 'ifindex'>[],
  ): Promise<ReadonlyMap<string, LinkCounters>>;
  /** A file of `inventory -o json|yaml`, or a captured tree. Throws when it is neither. */
  saved(path: string): Promise<SavedInventory>;
  plan(question: PlanQuestion): Promise<PlanAnswer>;
  explain(question: ExplainQuestion): Promise<Explanation>;
  lint(configPath: string, resourcePrefix?: string): Promise<readonly ConfigProblem[]>;
  /** What the network definitions in a file (`-`: standard input) would do. Throws when it holds none. */
  definitions(path: string): Promise<readonly DefinitionReport[]>;
  /** The configuration file's JSON Schema. */
  configSchema(): unknown;
  /** `-` writes an archive to standard output. */
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

/** One network definition, of the document of `lint --networks -o json`. */
export interface DefinitionReport {
  /** `namespace/name`, or the network's name. */
  readonly name: string;
  /** It has no configuration: Multus takes that of a file on the node. */
  readonly isElsewhere?: true;
  /** In the order of a chain. */
  readonly plugins: readonly {
    readonly type: string;
    /** By Berth; nothing is said of others. */
    readonly isServed: boolean;
    /** Because of them every ADD fails. */
    readonly errors: readonly DefinitionProblem[];
    readonly warnings: readonly DefinitionProblem[];
  }[];
}

/** `path` is empty for what is about the whole. */
export interface DefinitionProblem {
  readonly path: string;
  readonly message: string;
}

export interface CaptureReport {
  /** The folder for --root; of an archive the one inside it. */
  readonly readAs: string;
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
  /** What the agent does in the cluster; each is off when absent. */
  readonly publishInventory?: boolean;
  readonly publishEvents?: boolean;
  readonly labelNode?: boolean;
  readonly removeStartupTaint?: boolean;
  /** Instead of the pod's service account. */
  readonly kubeconfig?: string;
  readonly logLevel: string;
}

/** Of `berth dashboard`; what is absent comes from where kubectl looks, and from the defaults. */
export interface DashboardOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** Address and port of the page. */
  readonly listen?: string;
  /** A file with the token; a new token is made when absent. */
  readonly tokenFile?: string;
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

/** Follows the agent's stream until it ends or the signal aborts; throws `NotFound` (reason `agent-away`). */
export type AgentStream = (
  runDir: string,
  onDocument: (document: FeedDocument) => void,
  signal: AbortSignal,
) => Promise<void>;

/** The terminal that the program was started in. */
export interface Terminal {
  /** Input and output are one. */
  readonly isInteractive: boolean;
  size(): { readonly columns: number; readonly rows: number };
  write(text: string): void;
  /** Takes the screen and the keys; answers the function that gives them back. */
  open(onInput: (chunk: string) => void, onResize: () => void): () => void;
}

export interface ProgramDeps {
  readonly version: string;
  readonly output: Output;
  readonly node: NodeAccess;
  readonly agent: AgentAccess;
  readonly follow: AgentStream;
  readonly terminal: Terminal;
  readonly installer: Installer;
  /** The text of docs/troubleshooting.md; `undefined` where it was not installed. */
  readonly troubleshooting: () => string | undefined;
  /** Runs until a signal; resolves with the exit status. */
  readonly runAgent: (options: AgentOptions) => Promise<number>;
  /** Runs until a signal; resolves with the exit status. */
  readonly runDashboard: (options: DashboardOptions) => Promise<number>;
}
