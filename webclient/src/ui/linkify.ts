/** A piece of a message: plain, or the text of a link. */
export interface Piece {
  text: string;
  href?: string;
}

/** Finds the web addresses in a text. Only http and https become links; punctuation after one is not part of it. */
export function linkify(text: string): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"'（）「」，。]+/gi)) {
    const raw = found[0].replace(/[.,;:!?)\]]+$/, "");
    if (!URL.canParse(raw)) continue;
    if (found.index > at) out.push({ text: text.slice(at, found.index) });
    out.push({ text: raw, href: raw });
    at = found.index + raw.length;
  }
  if (at < text.length) out.push({ text: text.slice(at) });
  return out;
}
