// The few changes that are made to session descriptions as text, because
// browsers have no interface for them.

/** Splits a description into its session part and its m-sections, each with its line ends. */
function sections(sdp: string): string[] {
  return sdp.split(/(?=^m=)/m);
}

/** The ICE credentials of whoever made the description (RFC 8839 §5.4); undefined if it has none. */
export function credentials(sdp: string): { ufrag: string; pwd: string } | undefined {
  const of = (name: string) => new RegExp(`^a=${name}:(\\S+)`, "m").exec(sdp)?.[1];
  const [ufrag, pwd] = [of("ice-ufrag"), of("ice-pwd")];
  return ufrag && pwd ? { ufrag, pwd } : undefined;
}

/** The payload type of Opus in an m-section, undefined if it has none. */
function opus(section: string): string | undefined {
  return /^a=rtpmap:(\d+) opus\/48000/im.exec(section)?.[1];
}

/**
 * Asks for retransmission (RFC 4585 §6.2.1, generic NACK) and discontinuous
 * transmission (RFC 7587 §6.1, usedtx) of every Opus line.
 */
export function tuneAudio(sdp: string): string {
  return sections(sdp)
    .map((section) => {
      const pt = section.startsWith("m=audio") ? opus(section) : undefined;
      if (!pt) return section;
      let out = section;
      if (!new RegExp(`^a=rtcp-fb:${pt} nack\\r?$`, "m").test(out)) {
        out = out.replace(/^(a=rtpmap:\d+ opus\/48000.*)$/im, `$1\r\na=rtcp-fb:${pt} nack`);
      }
      return withParameter(out, pt, "usedtx", "1");
    })
    .join("");
}

/** Sets one format parameter unless it is there already. */
function withParameter(section: string, pt: string, name: string, value: string): string {
  const line = new RegExp(`^(a=fmtp:${pt} )([^\\r\\n]*)`, "m");
  const found = line.exec(section);
  if (!found) return section.replace(/^(a=rtpmap:\d+ opus\/48000.*)$/im, `$1\r\na=fmtp:${pt} ${name}=${value}`);
  if (new RegExp(`(^|;)\\s*${name}=`).test(found[2] ?? "")) return section;
  return section.replace(line, `$1$2;${name}=${value}`);
}

/**
 * Has what the router receives go with redundancy (RFC 2198), or without: browsers send what comes first in an answer,
 * where both are.
 */
export function withRedundancy(sdp: string, on: boolean): string {
  return sections(sdp)
    .map((section) => {
      const red = /^a=rtpmap:(\d+) red\/48000/im.exec(section)?.[1];
      if (!red || !section.startsWith("m=audio") || !/^a=recvonly/m.test(section)) return section;
      return section.replace(/^(m=audio \S+ \S+ )([\d ]+)/, (_, head: string, types: string) => {
        const others = types.split(" ").filter((pt) => pt !== red);
        return head + (on ? [red, ...others] : [...others, red]).join(" ");
      });
    })
    .join("");
}

/** Leaves only the candidates of one protocol, so that media takes that way or none (RFC 8839 §5.1). */
export function onlyOver(sdp: string, protocol: "udp" | "tcp"): string {
  return sdp.replace(/^a=candidate:\S+ \d+ (\S+) .*\r?\n/gim, (line, p: string) =>
    p.toLowerCase() === protocol ? line : "",
  );
}
