// Meeting links and numbers, as people paste and type them.

/** What a meeting's link says. */
export interface MeetingLink {
  number: string;
  passcode: string;
  /** The secret of a host or panellist link; "" for a plain join link. */
  invitation: string;
  /** The invitation is a panellist's. */
  panel?: boolean;
}

/** Reads the link of a page, https://HOST/j/NUMBER?pwd=…&host=…; null if it is none. */
export function parseLink(url: URL): MeetingLink | null {
  const number = /^\/j\/([0-9]{9,11})\/?$/.exec(url.pathname)?.[1];
  if (!number) return null;
  const [host, panel] = [url.searchParams.get("host"), url.searchParams.get("panel")];
  return {
    number,
    passcode: url.searchParams.get("pwd") ?? "",
    invitation: host || panel || "",
    ...(!host && panel ? { panel: true } : {}),
  };
}

/** The path of a meeting's lobby on this site. */
export function lobbyPath(link: MeetingLink): string {
  const query = new URLSearchParams();
  if (link.passcode) query.set("pwd", link.passcode);
  if (link.invitation) query.set(link.panel ? "panel" : "host", link.invitation);
  const text = query.toString();
  return `/j/${link.number}${text ? `?${text}` : ""}`;
}

/** The path of the connection check, for a meeting's zones. */
export function checkPath(link: MeetingLink): string {
  return lobbyPath(link).replace(/^\/j\//, "/check/");
}

/** Reads the path of the connection check: undefined if it is none, null if it is one without a meeting. */
export function parseCheck(url: URL): MeetingLink | null | undefined {
  if (!/^\/check(\/|$)/.test(url.pathname)) return undefined;
  const lobby = new URL(url);
  lobby.pathname = url.pathname.replace(/^\/check/, "/j");
  return parseLink(lobby);
}

/** Makes sense of what a person typed: a number with any spacing, or a whole link. Null if it is neither. */
export function parseTyped(text: string): MeetingLink | null {
  const trimmed = text.trim();
  const digits = trimmed.replace(/[\s\-–.]/g, "");
  if (/^[0-9]{9,11}$/.test(digits)) return { number: digits, passcode: "", invitation: "" };
  try {
    return parseLink(new URL(/^https?:/i.test(trimmed) ? trimmed : `https://${trimmed}`));
  } catch {
    return null;
  }
}

/** Writes a number in groups, which people read and dictate more easily. */
export function spaced(number: string): string {
  const groups = number.length === 9 ? [3, 6] : number.length === 10 ? [3, 6] : [3, 7];
  return [number.slice(0, groups[0]), number.slice(groups[0], groups[1]), number.slice(groups[1])].join(" ");
}
