/** Text of a file that a person named, which may be a pipe, a device or far too long. */

/** The whole text; `undefined` when it has more bytes. A pipe or a device tells no size before it is read. */
export async function readBounded(stream: AsyncIterable<unknown>, limitBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limitBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
