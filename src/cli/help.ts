/**
 * `berth help`: the options of a command, or what docs/troubleshooting.md says of an error, which
 * somebody in a container of the agent has no other way to read.
 */
import type { Command } from 'commander';
import type { ProgramDeps } from './port.ts';

const WIDTH = 80;

/** Adds the command. commander's own takes one word, and shows the list of all commands for one that is not there. */
export function addHelp(program: Command, deps: ProgramDeps): void {
  program
    .helpCommand(false)
    .commandsGroup('Help:')
    .command('help')
    .description('show the options of a command, and examples, or what an error means')
    .argument(
      '[words...]',
      'of a command, as in inventory diff, or the name of an error, as in agent-away; all commands without them',
    )
    .action((words: readonly string[]) => {
      const [name = '', ...more] = words;
      const isCommand = more.length > 0 || program.commands.some((command) => command.name() === name);
      const section = isCommand ? undefined : reasonText(deps.troubleshooting() ?? '', name);
      if (section !== undefined) deps.output.out(section);
      else commandOf(program, words).help();
    });
}

function commandOf(program: Command, words: readonly string[]): Command {
  let shown = program;
  for (const word of words) {
    const inner = shown.commands.find((command) => command.name() === word);
    shown = inner ?? program.error(`error: there is no command and no error ${JSON.stringify(words.join(' '))}`);
  }
  return shown;
}

/** What the page says of one reason, as text for a terminal; `undefined` when it has no section of that name. */
export function reasonText(page: string, reason: string): string | undefined {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(reason)) return undefined;
  const lines = page.split('\n');
  const errno = lines.find((line) => line.includes(`<a id="${reason}">`));
  if (errno !== undefined) {
    const [name, code, meaning] = errno
      .replace(/<a [^>]*><\/a>/, '')
      .split('|')
      .slice(1);
    return rendered(reason, [`${name?.trim()}. Code ${code?.trim()}. ${meaning?.trim()}.`]);
  }
  const at = lines.indexOf(`### ${reason}`);
  if (at < 0) return undefined;
  const body = lines.slice(at + 1);
  const end = body.findIndex((line) => line.startsWith('#'));
  return rendered(reason, end < 0 ? body : body.slice(0, end));
}

function rendered(title: string, body: readonly string[]): string {
  const text = body.map((line) => wrapped(plain(line))).join('\n');
  return `${title}\n\n${text.trim()}\n`;
}

/** A link is its text: where it leads to nothing leads in a terminal, and another section has the name that it shows. */
function plain(line: string): string {
  return line.replaceAll(/<a [^>]*><\/a>/g, '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
}

function wrapped(line: string): string {
  if (line.startsWith('|')) return line;
  const indent = line.startsWith('- ') ? '  ' : '';
  const rows: string[] = [];
  let row = '';
  for (const word of line.split(' ')) {
    if (row !== '' && row.length + 1 + word.length > WIDTH) {
      rows.push(row);
      row = `${indent}${word}`;
    } else row = row === '' ? word : `${row} ${word}`;
  }
  return [...rows, row].join('\n');
}
