/** What a failed call of the API server means, and whether and when trying again makes sense. */
import { ApiException } from '@kubernetes/client-node';
import { BerthError } from '../engine/errors.ts';

/** Longest text of a server's answer that is repeated. */
const MOST_WORDS = 300;

/** Errors of TLS that only a person can mend (Node.js, `tls`, X509 certificate error codes). */
const UNTRUSTED = /^(CERT_|ERR_TLS_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

export class ApiError extends BerthError {
  /** HTTP status; absent when there was no answer. */
  readonly status: number | undefined;
  /** What the server asked for (Retry-After). */
  readonly retryAfterMs: number | undefined;
  /** The kind is known and the object is not there: a 404 that has a name in it. */
  readonly isMissingObject: boolean;

  /** `answer` is what the server said besides; empty when it said nothing. */
  constructor(
    answer: { readonly status?: number; readonly retryAfterMs?: number; readonly isMissingObject?: boolean },
    fields: ConstructorParameters<typeof BerthError>[0],
  ) {
    super(fields);
    this.status = answer.status;
    this.retryAfterMs = answer.retryAfterMs;
    this.isMissingObject = answer.isMissingObject ?? false;
  }

  /** A person has to act first: the definition is missing, a right is, or the object is refused. */
  get needsPerson(): boolean {
    return this.code === 'Denied' || this.code === 'Invalid' || this.code === 'NotFound';
  }
}

/** `what` is what was being done; `error` is what the client library threw. */
export function apiErrorOf(what: string, error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ApiException) return answered(what, error);
  if (error instanceof BerthError) {
    return new ApiError({}, { code: error.code, reason: error.reason, message: error.message, cause: error });
  }
  return unanswered(what, error);
}

function answered(what: string, { code: status, body, headers }: ApiException<unknown>): ApiError {
  const said = statusOf(body);
  const retryAfter = Number(headers['retry-after'] ?? Number.NaN);
  const message = `${what}: ${status}${said.message === undefined ? '' : ` ${said.message}`}`;
  const answer = {
    status,
    ...(Number.isFinite(retryAfter) && retryAfter >= 0 ? { retryAfterMs: retryAfter * 1000 } : {}),
    isMissingObject: status === 404 && said.named,
  };
  if (status === 401 || status === 403) {
    const remedy = 'Apply the roles of the component in deploy/components that switches it on.';
    return new ApiError(answer, { code: 'Denied', reason: 'api-server-refused', message, remedy });
  }
  if (status === 404 && said.kind === 'nodes') {
    const remedy =
      'Compare the name with `kubectl get nodes`, and set --node-name (NODE_NAME) where it differs; nothing is written for a node that the cluster does not have.';
    return new ApiError(answer, { code: 'NotFound', reason: 'node-not-registered', message, remedy });
  }
  if (status === 404) {
    const remedy = 'Apply deploy/components/cluster-inventory/crd.yaml of this release.';
    return new ApiError(answer, { code: 'NotFound', reason: 'api-resource-missing', message, remedy });
  }
  const undeclared = /^.*?(\.\S+): field not declared in schema/s.exec(said.message ?? '')?.[1];
  if (undeclared !== undefined) {
    const remedy = `The definition in the cluster is of an older release and has no ${undeclared}: apply deploy/components/cluster-inventory/crd.yaml of this one.`;
    return new ApiError(answer, { code: 'Invalid', reason: 'api-object-refused', message, remedy });
  }
  if (status === 409 || status === 410 || status === 429 || status >= 500) {
    const remedy = 'It is tried again; look at the API server if it lasts.';
    return new ApiError(answer, { code: 'Busy', reason: 'api-server-busy', message, remedy });
  }
  const remedy = 'An older definition in the cluster is the usual cause: apply the crd.yaml of this release.';
  return new ApiError(answer, { code: 'Invalid', reason: 'api-object-refused', message, remedy });
}

function unanswered(what: string, error: unknown): ApiError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = String((cause as { code?: unknown } | undefined)?.code ?? '');
  const words = cause instanceof Error ? cause.message : String(cause);
  const untrusted = UNTRUSTED.test(code);
  return new ApiError(
    {},
    {
      code: untrusted ? 'Denied' : 'Busy',
      reason: untrusted ? 'api-server-untrusted' : 'api-server-unreachable',
      message: `${what}: ${words}${code === '' || words.includes(code) ? '' : ` (${code})`}`,
      remedy: untrusted
        ? "Compare the server's certificate with the authority in the service account or kubeconfig."
        : 'It is tried again; pods and their networks do not depend on it.',
      cause: error,
    },
  );
}

/** A `Status` of the API server (meta/v1), which the library leaves as text at times. */
function statusOf(body: unknown): { readonly message?: string; readonly named: boolean; readonly kind?: string } {
  let value = body;
  if (typeof body === 'string') {
    try {
      value = JSON.parse(body);
    } catch {
      // A proxy's page, for example: its beginning says who it was.
      return { message: body.trim().slice(0, MOST_WORDS), named: false };
    }
  }
  if (typeof value !== 'object' || value === null) return { named: false };
  const { message, details } = value as { message?: unknown; details?: { name?: unknown; kind?: unknown } };
  return {
    ...(typeof message === 'string' ? { message: message.slice(0, MOST_WORDS) } : {}),
    named: typeof details?.name === 'string' && details.name !== '',
    ...(typeof details?.kind === 'string' ? { kind: details.kind } : {}),
  };
}
