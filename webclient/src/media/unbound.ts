// Connections whose sockets are bound to no address, so that they go on over
// whatever network there is.
//
// Chromium binds the sockets of a page that may use camera or microphone to the
// addresses of the machine's interfaces, and tells a page of a change of these
// only when it has lasted, on Linux for two seconds: until then new connections
// fail like old ones. Sockets of a page that may use neither are bound to none,
// so that the system gives what they send its new address, and the router
// follows it. A frame of ours which is not allowed either is such a page; what
// it makes works with the tracks of the page around it.

/** Of which peers are made; one for the page's life, as they end with it. */
let frame: HTMLIFrameElement | undefined;

/** Whether this is Chromium or a browser made from it. */
function chromium(): boolean {
  const agent = globalThis.navigator as (Navigator & { userAgentData?: { brands: { brand: string }[] } }) | undefined;
  return agent?.userAgentData?.brands.some(({ brand }) => brand === "Chromium") ?? false;
}

/** Makes a connection, where it helps one whose sockets are bound to no address. */
export function unboundPeer(configuration: RTCConfiguration): RTCPeerConnection {
  if (!frame && chromium()) {
    frame = document.createElement("iframe");
    frame.allow = "camera 'none'; microphone 'none'";
    frame.hidden = true;
    document.documentElement.append(frame);
  }
  const within = frame?.contentWindow as (Window & typeof globalThis) | null | undefined;
  return new (within?.RTCPeerConnection ?? RTCPeerConnection)(configuration);
}
