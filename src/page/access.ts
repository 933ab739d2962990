/** The token that opens the data: from the address, from before a reload of this tab, or from a person. */
import { byId } from './dom.ts';

const TOKEN_KEY = 'berth-token';

/** Calls back with a token whenever there is one to try. Answers what asks for another. */
export function preparePageAccess(start: (token: string) => void): () => void {
  const form = byId<HTMLFormElement>('token-form');
  const ask = (): void => {
    form.hidden = false;
    byId('view').hidden = true;
    byId('connection').textContent = 'a token is needed';
    byId('token').focus();
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const token = byId<HTMLInputElement>('token').value.trim();
    sessionStorage.setItem(TOKEN_KEY, token);
    form.hidden = true;
    start(token);
  });
  const token = takeToken();
  if (token === undefined) ask();
  else start(token);
  return ask;
}

/** It does not stay in the address, where it would be seen and saved. */
function takeToken(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    sessionStorage.setItem(TOKEN_KEY, given);
    history.replaceState(null, '', location.pathname);
  }
  return given ?? sessionStorage.getItem(TOKEN_KEY) ?? undefined;
}
