// The site: which page stands at which address.
import { createEffect, createMemo, lazy, Match, Suspense, Switch } from "solid-js";
import { parseCheck, parseLink } from "../state/link.ts";
import { address, follow } from "./navigation.ts";
import Landing from "./pages/Landing.tsx";
import Visit from "./pages/Visit.tsx";
import { Top } from "./parts/Top.tsx";
import { language, t } from "./text/text.ts";
import { createTitle } from "./title.ts";
import { Toasts } from "./toasts.tsx";

const Admin = lazy(() => import("./admin/Admin.tsx"));
const Checkup = lazy(() => import("./pages/Checkup.tsx"));

export default function App() {
  createEffect(() => {
    document.documentElement.lang = language();
  });
  const link = createMemo(() => parseLink(address()));
  return (
    <>
      <Switch fallback={<Missing />}>
        <Match when={link()} keyed>
          {(l) => <Visit link={l} />}
        </Match>
        <Match when={parseCheck(address()) !== undefined}>
          <Suspense>
            <Checkup link={parseCheck(address()) ?? null} />
          </Suspense>
        </Match>
        <Match when={/^\/admin\/?$/.test(address().pathname)}>
          <Suspense>
            <Admin />
          </Suspense>
        </Match>
        <Match when={address().pathname === "/"}>
          <Landing />
        </Match>
      </Switch>
      <Toasts />
    </>
  );
}

function Missing() {
  createTitle(() => t().notFoundTitle);
  return (
    <div class="page">
      <Top />
      <main class="after-main">
        <h1>{t().notFoundTitle}</h1>
        <p>{t().notFoundText}</p>
        <a class="button primary" href="/" onClick={follow}>
          {t().backHome}
        </a>
      </main>
    </div>
  );
}
