// How controllers are reached: straight, or through the gateway that the web
// node which served the page carries (protocol/gateway.go).
import type { Package } from "../protocol/messages.ts";

/** A way to the zone controllers. */
export interface Way {
  /** As the report names it. */
  route: "direct" | "tunnel";
  /** What an attempt went by. */
  via: string;
  /** Where to probe a controller, and where to join at it. */
  probe: (controller: string) => string;
  join: (controller: string) => string;
}

const bare = (url: string): string => url.replace(/\/$/, "");

/** Straight to the controllers. */
export const direct: Way = {
  route: "direct",
  via: "direct",
  probe: (controller) => `${bare(controller)}/zone/v1/probe`,
  join: (controller) => `${bare(controller)}/zone/v1/join`,
};

/** Through a gateway at a path of this site. */
export function through(gateway: string, origin: string = globalThis.location?.origin ?? ""): Way {
  const base = bare(new URL(gateway, origin || undefined).href);
  const to = (what: string) => (controller: string) => `${base}/${what}?controller=${encodeURIComponent(controller)}`;
  return { route: "tunnel", via: `gateway ${new URL(base).host}`, probe: to("probe"), join: to("join") };
}

/** The last way that a package offers; null if there is none. */
export function lastWay(pkg: Package): Way | null {
  return pkg.gateway ? through(pkg.gateway) : null;
}

/** Other addresses at which a router's control channel is reached: through the gateway, unless that is its address already. */
export function controlThrough(pkg: Package, controlURL: string, origin = globalThis.location?.origin ?? ""): string[] {
  if (!pkg.gateway || !origin) return [];
  const base = new URL(pkg.gateway, origin);
  if (controlURL.startsWith(`${base.origin.replace(/^http/, "ws")}${bare(base.pathname)}/`)) return [];
  base.protocol = base.protocol.replace(/^http/, "ws");
  return [`${bare(base.href)}/control?to=${encodeURIComponent(controlURL)}`];
}
