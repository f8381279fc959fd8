// Where in the site the person is: the address, as a signal.
import { createSignal } from "solid-js";

const [address, setAddress] = createSignal(new URL(globalThis.location?.href ?? "http://localhost/"));

globalThis.addEventListener?.("popstate", () => setAddress(new URL(location.href)));

export { address };

/** Goes to another page of the site without loading it anew. */
export function go(path: string): void {
  history.pushState(null, "", path);
  setAddress(new URL(location.href));
  scrollTo(0, 0);
}

/** For links within the site: a plain click stays in the page. */
export function follow(event: MouseEvent & { currentTarget: HTMLAnchorElement }): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(event.currentTarget.pathname + event.currentTarget.search);
}
