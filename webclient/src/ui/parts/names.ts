// What is drawn of a person without a picture: a pure function of name and id.

/** The initials of a name: one letter of Chinese, Japanese or Korean, two of others. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = [...(words[0] ?? "?")];
  if (/[\u2e80-\u9fff\uac00-\ud7af\u3040-\u30ff]/.test(first[0] ?? "")) return first.slice(-1).join("");
  const second = words.length > 1 ? [...(words[words.length - 1] ?? "")][0] : undefined;
  return `${first[0] ?? "?"}${second ?? ""}`.toUpperCase();
}

/** One of twelve colours, always the same for the same person. */
export function hue(id: string): number {
  let hash = 0;
  for (const c of id) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return hash % 12;
}
