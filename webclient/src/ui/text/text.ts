// The language of the pages: chosen by the browser, switchable, remembered.
import { createSignal } from "solid-js";
import type { Code, Language, Words } from "../../protocol/messages.ts";
import { words } from "../../protocol/problems.ts";
import { load, save } from "../../state/preferences.ts";
import { type Catalogue, en } from "./en.ts";
import { zhTW } from "./zh-TW.ts";

/** Every language and its catalogue. */
export const catalogues: Record<Language, Catalogue> = { en, "zh-TW": zhTW };

/** Picks the language for a browser's list; Chinese of any kind reads traditional Chinese better than English. */
export function pick(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    if (/^zh\b/i.test(tag)) return "zh-TW";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}

const [language, setSignal] = createSignal<Language>(load().language ?? pick(globalThis.navigator?.languages ?? []));

export { language };

/** The catalogue of the current language; reading it in a component follows changes. */
export function t(): Catalogue {
  return catalogues[language()];
}

/** The words for a problem, in the current language. */
export function problemWords(code: Code): Words {
  return words(code, language());
}

/** Changes the language, for this device. */
export function setLanguage(to: Language): void {
  setSignal(to);
  save({ language: to });
}
