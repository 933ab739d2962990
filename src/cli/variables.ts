/**
 * Environment variables of options, read as a person means them: an empty one says nothing, and one of
 * a switch says true or false. commander takes an empty text for a value, and for a switch any text at
 * all, `false` too, for true.
 */
import type { Command } from 'commander';

const SWITCHES: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

/** To be called before the command's action. A switch with another text is wrong usage. */
export function readVariables(command: Command): void {
  for (const option of command.options) {
    const name = option.attributeName();
    if (option.envVar === undefined || command.getOptionValueSource(name) !== 'env') continue;
    const text = process.env[option.envVar] ?? '';
    if (text !== '' && (!option.isBoolean() || isOn(command, option.envVar, text))) continue;
    // commander's own object: what it hands to the action has no key for what was not said.
    const values = command.opts();
    if (option.defaultValue === undefined) delete values[name];
    else values[name] = option.defaultValue;
  }
}

function isOn(command: Command, variable: string, text: string): boolean {
  const value = SWITCHES[text.toLowerCase()];
  return value ?? command.error(`error: ${variable} is ${JSON.stringify(text)}, and has to be true or false`);
}
