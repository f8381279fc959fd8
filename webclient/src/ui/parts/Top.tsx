import { Logo } from "../icons.tsx";
import { follow } from "../navigation.ts";
import { t } from "../text/text.ts";
import { LanguageSwitch } from "./LanguageSwitch.tsx";

/** The head of every page but the room: the way home, and the language. */
export function Top() {
  return (
    <header class="top">
      <a class="brand" href="/" onClick={follow}>
        <Logo />
        {t().appName}
      </a>
      <LanguageSwitch />
    </header>
  );
}
