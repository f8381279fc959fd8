import { For } from "solid-js";
import type { Language } from "../../protocol/messages.ts";
import { Globe } from "../icons.tsx";
import { catalogues, language, setLanguage, t } from "../text/text.ts";

/** Chooses the language of the pages. Each language is named in itself. */
export function LanguageSwitch() {
  return (
    <label class="language">
      <Globe />
      <span class="visually-hidden">{t().languageLabel}</span>
      <select value={language()} onChange={(e) => setLanguage(e.currentTarget.value as Language)}>
        <For each={Object.entries(catalogues)}>
          {([id, text]) => (
            <option value={id} lang={id} selected={id === language()}>
              {text.language}
            </option>
          )}
        </For>
      </select>
    </label>
  );
}
