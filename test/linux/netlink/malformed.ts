/** What every codec throws for bytes that it cannot read. */
import { BerthError } from '../../../src/engine/errors.ts';

export function malformedError(error: unknown): boolean {
  return error instanceof BerthError && error.reason === 'netlink-malformed';
}
