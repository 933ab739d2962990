/** The options of `berth agent`, in the groups in which its help lists them. */
import { type Command, Option } from 'commander';
import { namesOf } from './install.ts';

/** Adds them to the command. What is not said comes from the environment, then the file, then the defaults. */
export function addAgentOptions(agent: Command): Command {
  for (const [heading, options] of GROUPS) {
    agent.optionsGroup(heading);
    for (const option of options()) agent.addOption(option);
  }
  return agent.optionsGroup('Options:');
}

const GROUPS: readonly (readonly [heading: string, options: () => readonly Option[]])[] = [
  [
    'Configuration:',
    () => [
      said('--config <file>', 'pools and settings (/etc/berth/config.yaml, if it exists)', 'BERTH_CONFIG'),
      said(
        '--resource-prefix <domain>',
        "first part of resource names, before what the file says (berth.dev, or that of the file's form)",
        'BERTH_RESOURCE_PREFIX',
      ),
      said('--node-name <name>', 'name of this node (the host name)', 'NODE_NAME'),
      said('--log-level <level>', 'least important line that is logged', 'BERTH_LOG_LEVEL')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    ],
  ],
  [
    'Folders:',
    () => [
      said('--run-dir <dir>', 'sockets and records (/run/berth)', 'BERTH_RUN_DIR'),
      said('--state-dir <dir>', 'what survives a reboot (/var/lib/berth)', 'BERTH_STATE_DIR'),
      said('--kubelet-dir <dir>', "kubelet's root (/var/lib/kubelet)", 'BERTH_KUBELET_DIR'),
      said(
        '--device-info-dir <dir>',
        'device-info files for Multus (/var/run/k8s.cni.cncf.io/devinfo)',
        'BERTH_DEVICE_INFO_DIR',
      ),
      said('--use-cdi', 'give device nodes by the Container Device Interface (as the file says)', 'BERTH_USE_CDI'),
      said('--cdi-dir <dir>', 'CDI specifications (/var/run/cdi)', 'BERTH_CDI_DIR'),
      said('--proc-root <dir>', 'where sys/net of /proc is writable, if it is not in /proc', 'BERTH_PROC_ROOT'),
    ],
  ],
  [
    'What it serves:',
    () => [
      said('--page-listen <address>', 'address and port of the page (127.0.0.1:9474), or off', 'BERTH_PAGE_LISTEN'),
      said(
        '--listen <host:port>',
        'serve /healthz, /readyz and /metrics there, over plain HTTP (not served)',
        'BERTH_LISTEN',
      ),
    ],
  ],
  [
    'The CNI shim:',
    () => [
      said(
        '--install-into <dir>',
        "keep the shim in the runtime's plugin folder, as berth install does (not kept)",
        'BERTH_INSTALL_INTO',
      ),
      said(
        '--install-as <names>',
        'with --install-into: also under these names (comma-separated)',
        'BERTH_INSTALL_AS',
      ).argParser(namesOf),
    ],
  ],
  [
    'In the cluster, each off unless it is given:',
    () => [
      said('--publish-inventory', "keep the node's NodeNetworkInventory", 'BERTH_PUBLISH_INVENTORY'),
      said('--publish-events', 'send events on the node and on pods for what goes wrong', 'BERTH_PUBLISH_EVENTS'),
      said('--label-node', 'keep facts of the NICs as labels of the node', 'BERTH_LABEL_NODE'),
      said(
        '--remove-startup-taint',
        'take berth.dev/agent-not-ready off the node when the agent serves',
        'BERTH_REMOVE_STARTUP_TAINT',
      ),
      said('--kubeconfig <file>', "for these, instead of the pod's service account", 'BERTH_KUBECONFIG'),
    ],
  ],
];

function said(flags: string, description: string, variable: string): Option {
  return new Option(flags, description).env(variable);
}
