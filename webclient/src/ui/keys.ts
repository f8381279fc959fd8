// Keyboard shortcuts of the room. Pure, so that the list in the help dialog
// and what the keys do cannot drift apart.

/** What can be done by key (or by button). */
export type Verb =
  | "mute"
  | "camera"
  | "hand"
  | "share"
  | "chat"
  | "people"
  | "connection"
  | "view"
  | "fullscreen"
  | "help"
  | "settings"
  | "leave"
  | "end"
  | "escape";

/** The keys. Lower case; leaving has none, so that no slip of a finger ends a meeting. */
export const keys: Readonly<Record<string, Verb>> = {
  m: "mute",
  v: "camera",
  h: "hand",
  s: "share",
  c: "chat",
  p: "people",
  g: "view",
  i: "connection",
  f: "fullscreen",
  "?": "help",
  escape: "escape",
};

/** Finds what a key press means; undefined while the person types or is in a dialog or menu. */
export function keyFor(event: KeyboardEvent): Verb | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing || event.defaultPrevented)
    return;
  const verb = keys[event.key.toLowerCase()];
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest('[role="dialog"], [role="alertdialog"], [role="menu"]')) return;
  if (verb !== "escape" && target?.closest("input, textarea, select, [contenteditable]")) return;
  return verb;
}
