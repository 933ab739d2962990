/** From our errors to gRPC's: one exhaustive switch, at the edge. */
import { type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { BerthError, type ErrorCode, toBerthError } from '../engine/errors.ts';

/** What a handler answers instead of a message; kubelet shows `details` in the pod's status. */
export function toStatus(error: unknown): Partial<StatusObject> {
  const ours: BerthError = toBerthError(error);
  const details = ours.remedy === undefined ? ours.message : `${ours.message}; ${ours.remedy}`;
  return { code: statusOf(ours.code), details };
}

function statusOf(code: ErrorCode): status {
  switch (code) {
    case 'NotFound':
      return status.NOT_FOUND;
    case 'Busy':
      return status.UNAVAILABLE;
    case 'Invalid':
      return status.INVALID_ARGUMENT;
    case 'Unsupported':
      return status.FAILED_PRECONDITION;
    case 'Denied':
      return status.PERMISSION_DENIED;
    case 'Exhausted':
      return status.RESOURCE_EXHAUSTED;
    case 'Io':
      return status.INTERNAL;
    case 'Interrupted':
      return status.CANCELLED;
    case 'Internal':
      return status.INTERNAL;
    default:
      throw new Error(`unknown error code ${code satisfies never}`);
  }
}

/** What is wrong and what to do about it, in one paragraph. */
export function withRemedy(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const remedy = error instanceof BerthError ? error.remedy : undefined;
  return remedy === undefined ? error.message : `${error.message}. ${remedy}`;
}

/** The text of a failed call to kubelet, as one line. */
export function describeFailure(error: ServiceError): string {
  return `${status[error.code]}: ${error.details}`;
}
