/**
 * What each command is shown with: at the end of its `--help`, and in docs/cli.md, where the first one
 * comes with its output. A command without an example is an error of `hack/reference`.
 */

export interface Example {
  /** As a person types it. */
  readonly line: string;
  /** What it is for. */
  readonly does: string;
}

/** By the command's words without `berth`: `inventory diff`. */
export const EXAMPLES: Readonly<Record<string, readonly Example[]>> = {
  agent: [
    { line: 'berth agent', does: 'offers what the node has, without any configuration' },
    {
      line: 'berth agent --config pools.yaml --listen 127.0.0.1:9717',
      does: 'with pools of your own, probes and metrics',
    },
  ],
  dashboard: [
    { line: 'berth dashboard', does: 'the cluster that kubectl speaks to; open the address that it prints' },
    { line: 'berth dashboard --context staging --listen 127.0.0.1:0', does: 'another one, on a free port' },
    {
      line: 'berth dashboard --listen :9475 --token-file token',
      does: 'for other machines, over plain HTTP: put a proxy with TLS in front',
    },
  ],
  inventory: [
    { line: 'berth inventory', does: 'NICs, VFs, who has them, and findings' },
    { line: 'berth inventory eth1 eth0#3', does: 'a NIC with its VFs, and one VF' },
    { line: 'berth inventory -o json >before.json', does: 'saves it, for berth inventory diff' },
    { line: 'berth inventory --root node-1', does: 'shows a node that berth capture has written' },
  ],
  'inventory diff': [
    { line: 'berth inventory diff before.json after.json', does: 'what is different' },
    { line: 'berth inventory diff --exit-code before.json node-1', does: 'for scripts; a captured tree will do' },
  ],
  topology: [
    { line: 'berth topology', does: 'a tree of lines' },
    { line: 'berth topology -o svg >node.svg', does: 'a picture' },
  ],
  watch: [{ line: 'berth watch', does: '/ filters, s sorts, f shows findings, q quits' }],
  page: [{ line: 'berth page', does: 'open the address that it prints' }],
  capture: [
    { line: 'berth capture node-1', does: 'read it anywhere with berth inventory --root node-1' },
    {
      line: 'kubectl -n berth-system exec POD -- berth capture - | tar x',
      does: "from the agent's container, into the folder captured",
    },
  ],
  explain: [
    { line: 'berth explain eth0v3', does: 'by interface name' },
    { line: 'berth explain 0000:41:10.6 -f pools.yaml', does: 'by address, with pools that do not run yet' },
  ],
  plan: [
    { line: 'berth plan -f pools.yaml', does: 'what would change on this node' },
    { line: 'berth plan', does: 'what is offered now, and what is in no pool' },
    { line: 'berth plan -f new.yaml --against old.yaml --root node-1', does: 'at a desk, without the node' },
  ],
  lint: [
    { line: 'berth lint -f mistakes.yaml', does: 'exits with 1 when an error is among them' },
    { line: 'berth lint --networks net-attach-defs.yaml', does: 'network definitions, before Berth serves them' },
    {
      line: 'kubectl get net-attach-def -A -o json | berth lint --networks -',
      does: 'those of the cluster',
    },
    { line: 'berth lint --print-schema >berth.schema.json', does: 'for an editor' },
  ],
  attachments: [{ line: 'berth attachments', does: 'one line for each interface of a pod' }],
  gc: [
    { line: 'berth gc --dry-run', does: 'shows what there is to collect' },
    { line: 'berth gc', does: 'collects it' },
  ],
  status: [
    { line: 'berth status', does: 'the first thing to look at' },
    { line: 'berth status --exit-code >/dev/null', does: 'for scripts: says on stderr what is not ready' },
  ],
  install: [
    { line: 'berth install --as sriov,macvlan', does: 'stands in for the plugins of these names' },
    { line: 'berth install --config pools.yaml', does: 'with a configuration, which is checked first' },
  ],
  uninstall: [
    { line: 'berth uninstall', does: 'refuses while pods are attached' },
    { line: 'berth uninstall --when-idle', does: 'waits until none is' },
  ],
  help: [
    { line: 'berth help inventory diff', does: 'the same as berth inventory diff --help' },
    { line: 'berth help device-held', does: 'what that error means, and what to do' },
    { line: 'berth help', does: 'lists all commands' },
  ],
  completion: [
    {
      line: 'berth completion bash >/etc/bash_completion.d/berth',
      does: 'for every bash from now on',
    },
    { line: '. <(berth completion zsh)', does: 'in ~/.zshrc' },
    { line: 'berth completion fish >~/.config/fish/completions/berth.fish', does: 'for fish' },
  ],
};

/** The end of a command's help; nothing for one without examples. */
export function examplesText(command: string): string {
  const examples = EXAMPLES[command] ?? [];
  if (examples.length === 0) return '';
  const lines = examples.map(({ does, line }) => `  $ ${line}\n      ${does}`);
  return `\nExamples:\n${lines.join('\n')}`;
}
