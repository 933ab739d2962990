/** Options of `berth dashboard`. */
import { type Command, Option } from 'commander';

/** Adds them to the command. */
export function addDashboardOptions(dashboard: Command): Command {
  return dashboard
    .addOption(
      new Option(
        '--kubeconfig <file>',
        'the cluster (KUBECONFIG, ~/.kube/config, or the service account of the pod)',
      ).env('BERTH_KUBECONFIG'),
    )
    .addOption(new Option('--context <name>', 'another context of it than its current one'))
    .addOption(
      new Option('--listen <address>', 'address and port of the page (127.0.0.1:9475)').env('BERTH_DASHBOARD_LISTEN'),
    )
    .addOption(
      new Option('--token-file <file>', 'the token that opens the page (a new one each time)').env(
        'BERTH_DASHBOARD_TOKEN_FILE',
      ),
    );
}
