/**
 * The arguments of the SR-IOV network device plugin, which its DaemonSets and the SR-IOV operator give to
 * its image without a command: given to Berth they mean `berth agent` with the same file, prefix and CDI.
 */

/** Where that plugin looks when it is not told. */
const SDP_CONFIG_FILE = '/etc/pcidp/config.json';

/** Whether a flag takes a value; its own, those of its logger (glog) and of its image's entry point. */
const TAKES_VALUE: Readonly<Record<string, boolean>> = {
  'config-file': true,
  'resource-prefix': true,
  'use-cdi': false,
  'log-dir': true,
  'log-level': true,
  log_dir: true,
  log_backtrace_at: true,
  logtostderr: false,
  alsologtostderr: false,
  stderrthreshold: true,
  v: true,
  vmodule: true,
};
/** Berth's commands have them too. */
const SHARED: ReadonlySet<string> = new Set(['resource-prefix', 'use-cdi']);

export interface SdpArguments {
  /** What Berth is to run instead. */
  readonly argv: readonly string[];
  /** Flags that are about the plugin's log files, as they were written. */
  readonly ignored: readonly string[];
}

/** `undefined` for what that plugin would refuse, and for what can be Berth's own. */
export function fromSdpArguments(argv: readonly string[]): SdpArguments | undefined {
  const given = new Map<string, string>();
  const ignored: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const written = argv[at] ?? '';
    // Go's flag package takes one dash or two, and a value behind "=" or, unless it is a yes or no, as the next argument.
    const match = /^--?(?<name>[a-z_][a-z_-]*)(?:=(?<value>.*))?$/s.exec(written);
    const name = match?.groups?.name ?? '';
    if (!Object.hasOwn(TAKES_VALUE, name)) return undefined;
    const separate = match?.groups?.value === undefined && TAKES_VALUE[name] === true;
    if (separate) at += 1;
    const value = separate ? argv[at] : (match?.groups?.value ?? 'true');
    if (value === undefined) return undefined;
    if (name === 'config-file' || SHARED.has(name)) given.set(name, value);
    else ignored.push(separate ? `${written} ${value}` : written);
  }
  if (ignored.length === 0 && !given.has('config-file')) return undefined;
  const prefix = given.get('resource-prefix');
  return {
    argv: [
      'agent',
      `--config=${given.get('config-file') ?? SDP_CONFIG_FILE}`,
      ...(prefix === undefined ? [] : [`--resource-prefix=${prefix}`]),
      ...(isTrue(given.get('use-cdi')) ? ['--use-cdi'] : []),
    ],
    ignored,
  };
}

/** As Go's strconv.ParseBool. */
function isTrue(text: string | undefined): boolean {
  return text !== undefined && ['1', 't', 'true'].includes(text.toLowerCase());
}
