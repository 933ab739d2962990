/**
 * Failures as the CNI specification wants them: `{cniVersion, code, msg, details}` on standard
 * output. The engine's errors are mapped here, once; this front end's own failures are `CniFault`s,
 * which carry the code that the specification names for them.
 */
import { BerthError, type ErrorFields, toBerthError } from '../engine/errors.ts';
import type { CniVersion } from './versions.ts';

/** Codes of the CNI specification 1.1.0, section "Error", and from 100 on Berth's own. */
export const CNI_CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfig: 7,
  tryAgain: 11,
  notAvailable: 50,
  internal: 100,
  notFound: 101,
  unsupported: 102,
  denied: 103,
  changed: 104,
} as const;

/**
 * Failures of the engine for which the specification has a more exact code than their kind's: what
 * CNI_IFNAME or CNI_NETNS names is unusable (4), there is nothing to clean up (3), the request cannot
 * be decoded (6), and from 100 on what CHECK found, which is no failure of input or output.
 */
const CODE_BY_REASON: ReadonlyMap<string, number> = new Map([
  ['address-already-reserved', CNI_CODES.badEnvironment],
  ['attachment-changed', CNI_CODES.changed],
  ['attachment-exists', CNI_CODES.badEnvironment],
  ['attachment-unknown', CNI_CODES.unknownContainer],
  ['interface-name-taken', CNI_CODES.badEnvironment],
  ['ipam-version-refused', CNI_CODES.incompatibleVersion],
  ['sandbox-is-host', CNI_CODES.badEnvironment],
  ['sandbox-not-a-namespace', CNI_CODES.badEnvironment],
  ['too-many-descriptors', CNI_CODES.decode],
]);

/** A failure that is seen in this front end. */
export class CniFault extends BerthError {
  readonly cniCode: number;

  constructor(cniCode: number, fields: Omit<ErrorFields, 'code'> & { readonly code?: ErrorFields['code'] }) {
    super({ code: 'Invalid', ...fields });
    this.cniCode = cniCode;
  }
}

export function cniCodeOf(error: BerthError): number {
  if (error instanceof CniFault) return error.cniCode;
  const exact = CODE_BY_REASON.get(error.reason);
  if (exact !== undefined) return exact;
  switch (error.code) {
    case 'Busy':
    case 'Exhausted':
    case 'Interrupted':
      return CNI_CODES.tryAgain;
    case 'Invalid':
      return CNI_CODES.invalidConfig;
    case 'Io':
      return CNI_CODES.io;
    case 'NotFound':
      return CNI_CODES.notFound;
    case 'Unsupported':
      return CNI_CODES.unsupported;
    case 'Denied':
      return CNI_CODES.denied;
    case 'Internal':
      return CNI_CODES.internal;
    default:
      return error.code satisfies never;
  }
}

export interface CniErrorObject {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** `msg` says what happened; `details` the remedy, the reason's section in the documentation, and the id to look for in the log. */
export function toCniError(thrown: unknown, cniVersion: CniVersion, requestId: string): CniErrorObject {
  const error = toBerthError(thrown);
  const kernel = error.errno === undefined || error.message.includes(error.errno) ? '' : ` (${error.errno})`;
  const facts = `reason ${error.reason}, docs/troubleshooting.md#${error.reason}, request ${requestId}`;
  return {
    cniVersion,
    code: cniCodeOf(error),
    msg: error.message + kernel,
    details: error.remedy === undefined ? facts : `${error.remedy} [${facts}]`,
  };
}
