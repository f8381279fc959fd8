// What is drawn of a person without a picture: a pure function of name and id.

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The first letter of a word as a person sees it: a family is one, and so is a flag. */
function first(word: string): string {
  return graphemes.segment(word)[Symbol.iterator]().next().value?.segment ?? "";
}

/** The initials of a name: one letter of Chinese, Japanese or Korean, two of others. What stands in brackets is no name. */
export function initials(name: string): string {
  const all = name.trim().split(/\s+/).filter(Boolean);
  const words = all.filter((w) => /^[\p{L}\p{N}\p{Emoji_Presentation}\p{Extended_Pictographic}]/u.test(w));
  const [head = all[0] ?? "?"] = words;
  if (/^[\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff]/.test(head)) return [...head].slice(-1).join("");
  const tail = words.length > 1 ? first(words.at(-1) ?? "") : "";
  return `${first(head)}${tail}`.toUpperCase();
}

/** A name for a sentence: one that is read from the right does not turn what stands around it. */
export function within(name: string): string {
  return /[\u0590-\u08ff\ufb1d-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name;
}

/** One of twelve colours, always the same for the same person. */
export function hue(id: string): number {
  let hash = 0;
  for (const c of id) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return hash % 12;
}
