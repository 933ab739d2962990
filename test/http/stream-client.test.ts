/** The command line's end of the stream, against agents that misbehave. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { FeedDocument } from '../../src/engine/feed/document.ts';
import { getFromAgent } from '../../src/http/client.ts';
import { followAgent } from '../../src/http/stream-client.ts';

interface Context {
  folder: string;
  socketPath: string;
  server: Server;
  answer: (response: ServerResponse) => void;
}

const test = suite<Context>('stream client');
const never = new AbortController().signal;
const ignore = (): void => undefined;

test.before.each(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-stream-'));
  context.socketPath = join(context.folder, 'api.sock');
  context.server = createServer((_request, response) => context.answer(response)).listen(context.socketPath);
  await once(context.server, 'listening');
});

test.after.each(async ({ folder, server }) => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  rmSync(folder, { recursive: true });
});

test('a whole stream is assembled, and its end is no error', async (context) => {
  context.answer = (response) => {
    response.write(':\n\nevent: node\ndata: {"node":"n1"}\n\nevent: devices\ndata: [{"address":"0000:01:00.1"}]\n\n');
    response.end('event: of-a-newer-agent\ndata: 1\n\nevent: ready\ndata: {}\n\n');
  };
  const seen: FeedDocument[] = [];
  await followAgent(context.socketPath, (document) => seen.push(document), never);
  assert.deepEqual(
    seen.map(({ devices }) => [...devices.keys()]),
    [['0000:01:00.1']],
  );
});

test('an event that is no JSON is an error of the follower, not of the process', async (context) => {
  context.answer = (response) => {
    response.write('event: node\ndata: {"node"\n\n');
  };
  await assert.rejects(followAgent(context.socketPath, ignore, never), { code: 'Internal', reason: 'agent-answer' });
});

test('a callback that throws is an error of the follower, not of the process', async (context) => {
  context.answer = (response) => {
    response.write('event: node\ndata: {}\n\nevent: ready\ndata: {}\n\n');
  };
  const broken = new Error('the screen is gone');
  await assert.rejects(
    followAgent(
      context.socketPath,
      () => {
        throw broken;
      },
      never,
    ),
    broken,
  );
});

test('an agent that falls silent is given up', async (context) => {
  context.answer = (response) => {
    response.write('event: node\ndata: {}\n\n');
  };
  await assert.rejects(followAgent(context.socketPath, ignore, never, 30), {
    reason: 'agent-away',
    message: /nothing was heard of it for 30 ms/,
  });
});

test('a refused stream is refused with the words of the agent', async (context) => {
  context.answer = (response) => {
    response.writeHead(503);
    response.end('{"code":"Exhausted","reason":"api-too-many-streams","message":"16 clients watch already"}');
  };
  await assert.rejects(followAgent(context.socketPath, ignore, never), {
    code: 'Exhausted',
    reason: 'api-too-many-streams',
    message: '16 clients watch already',
  });
});

test('a refusal that is no JSON says that no agent speaks there', async (context) => {
  context.answer = (response) => {
    response.writeHead(404);
    response.end('<html>');
  };
  await assert.rejects(followAgent(context.socketPath, ignore, never), { reason: 'agent-answer' });
});

test('an agent that goes away in the middle of a stream has ended it', async (context) => {
  context.answer = (response) => {
    response.write('event: node\n', () => response.destroy());
  };
  await followAgent(context.socketPath, ignore, never);
});

test('a follower that is told to stop stops without an error', async (context) => {
  const stop = new AbortController();
  context.answer = (response) => {
    response.write(':\n\n', () => stop.abort());
  };
  await followAgent(context.socketPath, ignore, stop.signal);
});

test('an agent that goes away in the middle of an answer is away', async (context) => {
  context.answer = (response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{"node":', () => response.destroy());
  };
  await assert.rejects(getFromAgent(context.socketPath, '/v1/status'), { code: 'NotFound', reason: 'agent-away' });
});

test.run();
