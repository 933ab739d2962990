/** An installer for tests of commands that must not install anything. */
import type { Installer } from '../../src/cli/port.ts';

const notAskedFor = (): Promise<never> => Promise.reject(new Error('no installation was asked for'));

export const notAsked: Installer = {
  install: notAskedFor,
  uninstall: notAskedFor,
  placeConfiguration: notAskedFor,
  removeConfiguration: notAskedFor,
};
