/**
 * What the tests read of the documentation: headings with the anchors that GitHub gives them,
 * explicit anchors and links. Code is left out. Not a Markdown parser: it knows what these pages use.
 */

export interface Heading {
  /** Number of `#`. */
  readonly level: number;
  /** Without back ticks. */
  readonly text: string;
  readonly anchor: string;
  /** What follows up to the next heading of any level. */
  readonly body: string;
}

export interface Link {
  readonly target: string;
  /** First line is 1. */
  readonly line: number;
}

/** Headings in their order. Of equal ones the second gets `-1` behind its anchor, as on GitHub. */
export function headingsOf(page: string): readonly Heading[] {
  const lines = withoutFences(page);
  const starts = lines.flatMap((line, index) => (/^#{1,6} /.test(line) ? [index] : []));
  const seen = new Map<string, number>();
  return starts.map((start, index) => {
    const [, marks = '', title = ''] = /^(#+) +(.*?) *#*$/.exec(lines[start] ?? '') ?? [];
    const text = title.replaceAll('`', '');
    const slug = slugOf(text);
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    return {
      level: marks.length,
      text,
      anchor: before === 0 ? slug : `${slug}-${before}`,
      body: lines
        .slice(start + 1, starts[index + 1])
        .join('\n')
        .trim(),
    };
  });
}

/** `<a id="...">` in their order. */
export function explicitAnchorsOf(page: string): readonly string[] {
  return [
    ...withoutFences(page)
      .join('\n')
      .matchAll(/<a id="([^"]+)">/g),
  ].map((match) => match[1] ?? '');
}

/** Every place of the page that a link can lead to. */
export function anchorsOf(page: string): ReadonlySet<string> {
  return new Set([...headingsOf(page).map((heading) => heading.anchor), ...explicitAnchorsOf(page)]);
}

/** Inline links and images. */
export function linksOf(page: string): readonly Link[] {
  return withoutFences(page).flatMap((line, index) => {
    const prose = line.replace(/`[^`]*`/g, '');
    return [...prose.matchAll(/\]\(([^()\s]+)\)/g)].map((match) => ({ target: match[1] ?? '', line: index + 1 }));
  });
}

/** The page's lines, those inside code fences emptied. */
function withoutFences(page: string): readonly string[] {
  let isInside = false;
  return page.split('\n').map((line) => {
    const isFence = line.trimStart().startsWith('```');
    const isText = !isInside && !isFence;
    if (isFence) isInside = !isInside;
    return isText ? line : '';
  });
}

/** As GitHub makes anchors: lower case, punctuation dropped, each space a hyphen. */
function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}
