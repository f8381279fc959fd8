// The window's title: what a tab is told by among others, and what a screen
// reader says first.
import { createEffect } from "solid-js";
import { t } from "./text/text.ts";

/** A page's title with the name of the place behind it; unread messages in front. */
export function titled(page: string, unread = 0): string {
  const name = page ? `${page} · ${t().appName}` : t().appName;
  return unread > 0 ? `(${unread}) ${name}` : name;
}

/** Titles the window for as long as the component lives, and until the next one does. */
export function createTitle(page: () => string, unread: () => number = () => 0): void {
  createEffect(() => {
    document.title = titled(page(), unread());
  });
}
