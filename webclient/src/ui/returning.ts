// Where the focus goes when what took it is closed.

/** What has the focus now and will still be there later: of a menu, which closes too, its button. */
export function comesFrom(): HTMLElement | null {
  const active = document.activeElement;
  const menu = active?.closest('[role="menu"]');
  const stays = menu ? document.getElementById(menu.getAttribute("aria-labelledby") ?? "") : active;
  return stays instanceof HTMLElement ? stays : null;
}
