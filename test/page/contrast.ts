/** Whether text can be read: contrast ratios as WCAG 2 defines them. */
import type { Page } from 'playwright-core';

/** Of the first element of each selector, its text against what is behind it; 0 for one that is not there. */
export async function contrastsOf(
  tab: Page,
  asked: readonly string[],
): Promise<readonly (readonly [selector: string, ratio: number])[]> {
  return await tab.evaluate((selectors) => {
    const luminance = (color: string): number => {
      const parts = (color.match(/[\d.]+/g) ?? []).slice(0, 3).map((part) => Number(part) / 255);
      const [red = 0, green = 0, blue = 0] = parts.map((part) =>
        part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = (from: Element): string => {
      for (let at: Element | null = from; at !== null; at = at.parentElement) {
        const { backgroundColor } = getComputedStyle(at);
        if (backgroundColor !== 'rgba(0, 0, 0, 0)') return backgroundColor;
      }
      return 'rgb(255, 255, 255)';
    };
    return selectors.map((selector) => {
      const shown = document.querySelector(selector);
      if (shown === null) return [selector, 0] as const;
      const [one, other] = [luminance(getComputedStyle(shown).color), luminance(ground(shown))];
      return [selector, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)] as const;
    });
  }, asked);
}
