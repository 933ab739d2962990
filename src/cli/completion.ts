/**
 * `berth completion`: scripts that let a shell complete commands, options and their values, made from
 * the command line itself. What a device or a file is called the shell's own completion of files does.
 * To debug, put `set -x` before the function and press Tab.
 */
import { Argument, type Command, type Option } from 'commander';
import type { ProgramDeps } from './port.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** A command as a shell sees it: its words without `berth`, and what may follow them. */
interface Level {
  readonly words: string;
  readonly commands: readonly Command[];
  readonly options: readonly Option[];
}

/** Adds the command; `done` is told the exit status. */
export function addCompletion(program: Command, deps: ProgramDeps, done: (status: number) => void): void {
  program
    .command('completion')
    .description('print a script that completes commands, options and their values in a shell')
    .addArgument(new Argument('<shell>', `which shell: ${SHELLS.join(', ')}`).choices(SHELLS))
    .action((shell: Shell) => {
      deps.output.out(completionScript(program, shell));
      done(0);
    });
}

/** zsh runs the functions of bash, once both systems of completion are loaded. */
const ZSH_BEGIN = `autoload -Uz compinit bashcompinit
(( $+functions[compdef] )) || compinit
bashcompinit
`;

/** The script for `shell`; sourcing it twice does no harm. */
export function completionScript(program: Command, shell: Shell): string {
  const levels = levelsOf(program, '');
  switch (shell) {
    case 'bash':
      return bashScript(levels);
    case 'zsh':
      return `${ZSH_BEGIN}${bashScript(levels)}`;
    case 'fish':
      return fishScript(levels);
    default:
      return shell satisfies never;
  }
}

function levelsOf(command: Command, words: string): readonly Level[] {
  const { commands, options } = command;
  return [
    { words, commands, options },
    ...commands.flatMap((inner) => levelsOf(inner, words === '' ? inner.name() : `${words} ${inner.name()}`)),
  ];
}

/** Every flag that an option answers to; `--help` is commander's own. */
function flagsOf({ options }: Level): readonly string[] {
  return [...options.flatMap(namesOf), '-h', '--help'];
}

function namesOf({ long, short }: Option): readonly string[] {
  return [short, long].filter((flag) => flag !== undefined && flag !== null);
}

/** Words that may follow: commands, and arguments that are one of some. */
function valuesOf({ commands, words }: Level): readonly string[] {
  return words === 'completion' ? SHELLS : commands.map((inner) => inner.name());
}

function bashScript(levels: readonly Level[]): string {
  const entered = levels
    // What follows `help` are the words of a command, as without it.
    .filter(({ words }) => words !== '' && words !== 'help')
    .map(({ words }) => `      '${`${parentOf(words)} ${lastOf(words)}`}') path='${words}' ;;`);
  const values = levels.flatMap((level) =>
    level.options
      .filter((option) => option.required)
      .map((option) => {
        const cases = namesOf(option).map((flag) => `'${level.words} ${flag}'`);
        return `    ${cases.join(' | ')}) words='${(option.argChoices ?? []).join(' ')}' ;;`;
      }),
  );
  const follows = levels.map(
    (level) => `      '${level.words}') words='${valuesOf(level).join(' ')}' flags='${flagsOf(level).join(' ')}' ;;`,
  );
  return `_berth() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' flags='' at
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "$path \${COMP_WORDS[at]}" in
${entered.join('\n')}
    esac
  done
  case "$path $prev" in
${values.join('\n')}
    *) case "$path" in
${follows.join('\n')}
      esac ;;
  esac
  case "$cur" in -*) words=$flags ;; esac
  # shellcheck disable=SC2207
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _berth berth
`;
}

function fishScript(levels: readonly Level[]): string {
  const lines = levels.flatMap((level) => {
    const here = `-n '__berth_at "${level.words}"'`;
    const values = valuesOf(level).map((value) => {
      const about = level.commands.find((inner) => inner.name() === value)?.description() ?? '';
      return `complete -c berth ${here} -f -a ${value}${about === '' ? '' : ` -d ${quoted(about)}`}`;
    });
    const options = level.options.map((option) => {
      const names = [
        ...(option.short === undefined ? [] : [`-s ${option.short.slice(1)}`]),
        ...(option.long === undefined || option.long === null ? [] : [`-l ${option.long.slice(2)}`]),
      ];
      const choices = option.argChoices === undefined ? '' : ` -f -a '${option.argChoices.join(' ')}'`;
      const value = option.required ? ` -r${choices}` : '';
      return `complete -c berth ${here} ${names.join(' ')}${value} -d ${quoted(option.description)}`;
    });
    return [...values, ...options];
  });
  const paths = levels.flatMap(({ words }) => (words === '' || words === 'help' ? [] : [`'${words}'`]));
  return `function __berth_at
  set -l path
  for word in (commandline -opc)[2..-1]
    if contains -- (string trim -- "$path $word") ${paths.join(' ')}
      set path (string trim -- "$path $word")
    end
  end
  test "$path" = "$argv[1]"
end
complete -c berth -e
${lines.join('\n')}
`;
}

function parentOf(words: string): string {
  return words.split(' ').slice(0, -1).join(' ');
}

function lastOf(words: string): string {
  return words.split(' ').at(-1) ?? '';
}

/** For fish, in single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}
