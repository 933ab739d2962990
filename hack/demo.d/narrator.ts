/** How the demo speaks: lines with the time since its start, and claims that hold or do not. */

export interface Claim {
  readonly claim: string;
  readonly holds: boolean;
  readonly evidence: unknown;
}

export interface Narrator {
  /** A chapter's title. */
  chapter(title: string): void;
  say(text: string): void;
  /** The output of a command, indented, under the command that a person would type. */
  show(command: string, output: string): void;
  /** States something and whether it holds; nothing stops when it does not, so that all is seen. */
  claim(text: string, holds: boolean, evidence: unknown): void;
  /** Prints what is left to print; answers whether every claim held. */
  end(): boolean;
}

export function createNarrator(options: { readonly json: boolean; readonly color: boolean }): Narrator {
  const startedAt = performance.now();
  const claims: (Claim & { readonly atMs: number })[] = [];
  const elapsedMs = () => Math.round(performance.now() - startedAt);
  const paint = (code: number, text: string) => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const print = (text: string) => {
    if (!options.json) process.stdout.write(`${text}\n`);
  };
  const stamp = () => paint(2, `${(elapsedMs() / 1000).toFixed(1).padStart(5)} s`);
  return {
    chapter: (title) => print(`\n${paint(1, title)}`),
    say: (text) => print(`${stamp()}  ${text}`),
    show: (command, output) => {
      print(`${stamp()}  ${paint(36, `$ ${command}`)}`);
      print(output.trimEnd().replace(/^/gm, '         '));
    },
    claim: (claim, holds, evidence) => {
      claims.push({ claim, holds, evidence, atMs: elapsedMs() });
      print(`${stamp()}  ${holds ? paint(32, 'yes') : paint(31, 'NO ')}  ${claim}`);
      if (!holds) print(`         ${JSON.stringify(evidence)}`);
    },
    end: () => {
      const failed = claims.filter((entry) => !entry.holds).length;
      if (options.json) {
        process.stdout.write(
          `${JSON.stringify({ holds: failed === 0, seconds: elapsedMs() / 1000, claims }, undefined, 2)}\n`,
        );
      }
      print(
        `\n${claims.length - failed} of ${claims.length} claims hold, ${(elapsedMs() / 1000).toFixed(1)} s in the machine`,
      );
      return failed === 0;
    },
  };
}
