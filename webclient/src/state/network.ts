// Tells when the network under the page has changed: another Wi-Fi, back from
// a tunnel, a cable pulled.

/** Calls f with whether there is a network at all, until signal aborts. */
export function watchNetwork(f: (online: boolean) => void, signal: AbortSignal): void {
  const tell = () => f(globalThis.navigator?.onLine !== false);
  globalThis.addEventListener?.("online", tell, { signal });
  globalThis.addEventListener?.("offline", tell, { signal });
  // Not in every browser: the kind of network, which changes with Wi-Fi and mobile.
  const { connection } = (globalThis.navigator ?? {}) as { connection?: EventTarget & { type?: string } };
  let type = connection?.type;
  connection?.addEventListener?.(
    "change",
    () => {
      if (connection.type === type) return; // only its estimate of the speed changed
      type = connection.type;
      tell();
    },
    { signal },
  );
}
