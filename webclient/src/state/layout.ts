// How tiles fill a window: the pure geometry of the gallery and the stage.

/** How the gallery is divided. Sizes are in CSS pixels. */
export interface Grid {
  columns: number;
  rows: number;
  width: number;
  height: number;
}

/** The shapes that a tile may have, width by height. */
export interface Shape {
  min: number;
  max: number;
}

/** Cameras are 16:9; a tile may be cropped to 4:3 where that fills the window better. */
export const landscape: Shape = { min: 4 / 3, max: 16 / 9 };

/** On upright screens a square tile wastes least. */
export const portrait: Shape = { min: 1, max: 16 / 9 };

/** The shape for a window. */
export function shapeFor(width: number, height: number): Shape {
  return width < height ? portrait : landscape;
}

/**
 * Finds the columns × rows that give count tiles the largest area. Among
 * equals the fewer empty places win.
 */
export function fit(count: number, width: number, height: number, gap: number, shape: Shape): Grid {
  let best: Grid = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  let bestScore = -1;
  for (let columns = 1; columns <= Math.max(1, count); columns++) {
    const rows = Math.ceil(Math.max(1, count) / columns);
    const tile = inCell((width - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows, shape);
    const empty = columns * rows - count;
    const score = tile.width * tile.height * (1 - 0.001 * empty);
    if (score > bestScore) {
      bestScore = score;
      best = { columns, rows, ...tile };
    }
  }
  return best;
}

/** The largest tile of an allowed shape inside a cell. */
function inCell(width: number, height: number, shape: Shape): { width: number; height: number } {
  if (width <= 0 || height <= 0) return { width: 0, height: 0 };
  const ratio = width / height;
  if (ratio > shape.max) return { width: Math.floor(height * shape.max), height: Math.floor(height) };
  if (ratio < shape.min) return { width: Math.floor(width), height: Math.floor(width / shape.min) };
  return { width: Math.floor(width), height: Math.floor(height) };
}

/** The most tiles on one page: what the video slots can carry besides oneself, and what stays recognisable. */
export function pageSize(width: number, height: number, slots: number): number {
  const smallest = width < 600 ? 120 * 90 : 170 * 96;
  const room = Math.floor((width * height) / (smallest * 1.25));
  return Math.max(2, Math.min(slots, 25, room));
}

/** Cuts a list into pages; the page number is kept in range. */
export function page<T>(
  items: readonly T[],
  size: number,
  wanted: number,
): { items: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(items.length / size));
  const at = Math.max(0, Math.min(pages - 1, wanted));
  return { items: items.slice(at * size, (at + 1) * size), page: at, pages };
}
