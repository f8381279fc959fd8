import { createUniqueId, type JSX, onMount } from "solid-js";
import { Close } from "../icons.tsx";
import { t } from "../text/text.ts";

/** What stands at the side (on phones: over everything). It takes the focus when it opens. */
export function Panel(props: {
  title: string;
  close: () => void;
  class?: string;
  children: JSX.Element;
  focusTitle?: boolean;
}) {
  const id = createUniqueId();
  let title: HTMLHeadingElement | undefined;
  onMount(() => {
    if (props.focusTitle !== false) title?.focus();
  });
  return (
    <aside class={`panel ${props.class ?? ""}`} aria-labelledby={id}>
      <header class="panel-top">
        <h2 id={id} tabindex="-1" ref={title}>
          {props.title}
        </h2>
        <button type="button" class="icon-button" aria-label={t().close} onClick={() => props.close()}>
          <Close />
        </button>
      </header>
      {props.children}
    </aside>
  );
}
