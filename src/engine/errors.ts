/**
 * The one error class of the project. Adapters and the engine throw it, front ends map `code` to
 * their protocol in one exhaustive switch. Anything else that reaches a front end is a bug of ours
 * and is reported as `Internal`.
 */

/**
 * What kind of failure it is; closed on purpose.
 * - `NotFound`: the thing named does not exist (a device, an uplink, a sandbox).
 * - `Busy`: it exists and somebody else has it; trying later can succeed.
 * - `Invalid`: the input is wrong; trying again cannot succeed.
 * - `Unsupported`: the input is right, the kernel, driver or version cannot do it.
 * - `Denied`: a policy or a permission forbids it.
 * - `Exhausted`: a finite thing is used up (addresses, room, requests in flight).
 * - `Io`: reading or writing state failed (disk full, read-only, a broken file).
 * - `Interrupted`: cancelled or past its deadline; what was done is undone.
 * - `Internal`: a bug in Berth.
 */
export type ErrorCode =
  | 'NotFound'
  | 'Busy'
  | 'Invalid'
  | 'Unsupported'
  | 'Denied'
  | 'Exhausted'
  | 'Io'
  | 'Interrupted'
  | 'Internal';

export interface ErrorFields {
  readonly code: ErrorCode;
  /**
   * A stable kebab-case name of the exact failure (`sandbox-missing`, `interface-name-taken`). It is
   * the anchor of the failure's section in docs/troubleshooting.md, and what tests assert on.
   */
  readonly reason: string;
  /** What went wrong, where and with which values; one line, no full stop. */
  readonly message: string;
  /** What a person can do about it; one sentence. */
  readonly remedy?: string;
  /** The operation, in `noun.verb` form (`link.create macvlan`). */
  readonly op?: string;
  /** The kernel's error name, for example `EBUSY`. */
  readonly errno?: string;
  /** The kernel's own explanation (NLMSGERR_ATTR_MSG), verbatim. */
  readonly extack?: string;
  readonly cause?: unknown;
}

export class BerthError extends Error {
  override readonly name = 'BerthError';
  readonly code: ErrorCode;
  readonly reason: string;
  readonly remedy: string | undefined;
  readonly op: string | undefined;
  readonly errno: string | undefined;
  readonly extack: string | undefined;

  constructor(fields: ErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = fields.code;
    this.reason = fields.reason;
    this.remedy = fields.remedy;
    this.op = fields.op;
    this.errno = fields.errno;
    this.extack = fields.extack;
  }
}

/** The error as it is, or wrapped as `Internal` when it is not one of ours. */
export function toBerthError(error: unknown): BerthError {
  if (error instanceof BerthError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new BerthError({ code: 'Internal', reason: 'internal', message, cause: error });
}
