/** gRPC the way kubelet, a Go program, speaks it: error texts, unix sockets, dialling with a limit. */
import { type Client, Metadata, type Server, ServerCredentials, type ServiceError, status } from '@grpc/grpc-js';

/** `rpc error: code = NotFound desc = ...`, as Go prints a gRPC error; a failed dial has no code of its own. */
export function goError(error: Error | ServiceError): string {
  if (!('code' in error)) return `rpc error: code = DeadlineExceeded desc = ${error.message}`;
  return `rpc error: code = ${goCode(error.code)} desc = ${error.details}`;
}

function goCode(code: status): string {
  return status[code]
    .toLowerCase()
    .replace(/(^|_)([a-z])/g, (_match, _underscore, letter: string) => letter.toUpperCase());
}

/** One unary call; rejects with the ServiceError. */
export function call<Request, Response>(
  method: (
    request: Request,
    metadata: Metadata,
    options: { deadline?: number },
    callback: (error: ServiceError | null, response: Response) => void,
  ) => unknown,
  request: Request,
  timeoutMs?: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
    method(request, new Metadata(), options, (error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

/** Resolves when connected; rejects after the limit. */
export function dial(client: Client, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    client.waitForReady(Date.now() + timeoutMs, (error) => (error === undefined ? resolve() : reject(error)));
  });
}

export function serve(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

/** In an order that nobody may rely on, as Go's maps and sets give. */
export function shuffled<T>(values: Iterable<T>): T[] {
  return [...values]
    .map((value) => ({ value, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value);
}
