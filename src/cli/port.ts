/** What the commands need from outside: injected by `src/main.ts`, faked by tests. */
import type { Plan } from '../engine/pools/model.ts';
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
  plan(root: string, configPath: string | undefined): Promise<Plan & { readonly problems: readonly ConfigProblem[] }>;
  explain(root: string, configPath: string | undefined, device: string): Promise<Explanation>;
  lint(configPath: string): Promise<readonly ConfigProblem[]>;
  capture(root: string, directory: string): Promise<CaptureReport>;
}

export interface CaptureReport {
  readonly files: number;
  readonly bytes: number;
  readonly notes: readonly string[];
}

/** GETs a path of the running agent's API; throws `NotFound` with reason `agent-away` when none runs. */
export type AgentAccess = <T>(runDir: string, path: string) => Promise<T>;

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
  readonly logLevel: string;
}

export interface ProgramDeps {
  readonly version: string;
  readonly output: Output;
  readonly node: NodeAccess;
  readonly agent: AgentAccess;
  /** Runs until a signal; resolves with the exit status. */
  readonly runAgent: (options: AgentOptions) => Promise<number>;
}
