/** The agent's page: where it listens, with which token, and that its failure is not the agent's. */
import { randomBytes } from 'node:crypto';
import type { Logger } from '../engine/logger.ts';
import { type PageServer, servePage } from '../http/page.ts';
import { type ApiAnswers, answerApi } from '../http/server.ts';
import { isLoopback, parseListenAddress } from '../http/tcp-listener.ts';
import { pageAssets } from './page-assets.ts';

/** Only this machine reaches it, and only who may read the agent's socket learns the token. */
export const DEFAULT_PAGE_ADDRESS = '127.0.0.1:9474';

/**
 * `undefined` when `listen` is `off`, or when the address cannot be listened on: the agent goes on
 * without its page. Throws `Invalid` for what is no address.
 */
export async function startPage(
  listen: string,
  answers: ApiAnswers & { readonly log: Logger },
): Promise<PageServer | undefined> {
  if (listen === 'off') return undefined;
  const at = parseListenAddress(listen);
  try {
    const token = randomBytes(32).toString('base64url');
    const page = await servePage({
      at,
      token,
      tokenRemedy: 'Run `berth page` on the node, and open the address that it prints.',
      assets: pageAssets('node'),
      answer: (request, response) => answerApi(answers, request, response),
      log: answers.log,
    });
    if (!isLoopback(at))
      answers.log.warn({ listen }, 'the page can be reached from other machines, without encryption');
    return page;
  } catch (error) {
    answers.log.warn({ err: error, listen }, 'the page is not served');
    return undefined;
  }
}
