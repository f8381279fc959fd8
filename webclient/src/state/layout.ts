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
export function tiling(count: number, width: number, height: number, gap: number, shape: Shape): Grid {
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

/** A place on the stage, in CSS pixels from its top left corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What is on the stage. */
export interface StageInput {
  width: number;
  height: number;
  gap: number;
  /** Tiles besides the large one. */
  count: number;
  /** Whether something is shown large: a screen, or who speaks. */
  large: boolean;
  /** Video slots: the most pictures of others at a time. */
  slots: number;
  page: number;
}

/** Where everything goes. Tiles that are not on this page have no box. */
export interface Arrangement {
  large: Box | null;
  /** Index of the first tile that has a box. */
  first: number;
  boxes: Box[];
  page: number;
  pages: number;
  /** Where the buttons for turning pages go; null when there is one page. */
  pager: Box | null;
}

/** The strip beside or below what is large. */
const strip = { wide: 208, narrow: 84 };

/** The height of the buttons for turning pages. */
const pagerHeight = 44;

/** Places everything on the stage. */
export function arrange(input: StageInput): Arrangement {
  if (!input.large) return gallery(input);
  const { width, height } = input;
  if (input.count === 0) return { ...onePage, large: { x: 0, y: 0, width, height }, boxes: [] };
  return width >= height ? beside(input) : below(input);
}

const onePage = { first: 0, page: 0, pages: 1, pager: null };

function gallery(input: StageInput): Arrangement {
  const { width, gap, count, slots } = input;
  const size = pageSize(width, input.height, slots);
  const cut = turn(count, size, input.page);
  const height = input.height - (cut.pages > 1 ? pagerHeight : 0);
  const grid = tiling(cut.here, width, height, gap, shapeFor(width, height));
  const top = (height - grid.rows * grid.height - gap * (grid.rows - 1)) / 2;
  const boxes = places(cut.here, (i) => {
    const row = Math.floor(i / grid.columns);
    const inRow = Math.min(grid.columns, cut.here - row * grid.columns); // the last row is centred
    const left = (width - inRow * grid.width - gap * (inRow - 1)) / 2;
    return {
      x: Math.round(left + (i - row * grid.columns) * (grid.width + gap)),
      y: Math.round(top + row * (grid.height + gap)),
      width: grid.width,
      height: grid.height,
    };
  });
  const pager = cut.pages > 1 ? { x: 0, y: height, width, height: pagerHeight } : null;
  return { large: null, boxes, pager, first: cut.first, page: cut.page, pages: cut.pages };
}

/** A column of tiles to the right. */
function beside(input: StageInput): Arrangement {
  const { width, gap, count } = input;
  const w = Math.min(strip.wide, Math.floor(width * 0.24));
  const h = Math.floor((w * 9) / 16);
  const rows = (height: number) => Math.max(1, Math.min(input.slots - 1, Math.floor((height + gap) / (h + gap))));
  const fits = rows(input.height) >= count;
  const height = fits ? input.height : input.height - pagerHeight;
  const cut = turn(count, rows(height), input.page);
  const top = Math.max(0, (height - cut.here * h - gap * (cut.here - 1)) / 2);
  const x = width - w;
  const boxes = places(cut.here, (i) => ({ x, y: Math.round(top + i * (h + gap)), width: w, height: h }));
  const large = { x: 0, y: 0, width: x - gap, height: input.height };
  const pager = fits ? null : { x, y: height, width: w, height: pagerHeight };
  return { large, boxes, pager, first: cut.first, page: cut.page, pages: cut.pages };
}

/** A row of tiles underneath. */
function below(input: StageInput): Arrangement {
  const { width, gap, count } = input;
  const h = Math.min(strip.narrow, Math.floor(input.height * 0.22));
  const w = Math.floor((h * 4) / 3);
  const columns = Math.max(1, Math.min(input.slots - 1, Math.floor((width + gap) / (w + gap))));
  const cut = turn(count, columns, input.page);
  const height = input.height - (cut.pages > 1 ? pagerHeight : 0);
  const left = Math.max(0, (width - cut.here * w - gap * (cut.here - 1)) / 2);
  const y = height - h;
  const boxes = places(cut.here, (i) => ({ x: Math.round(left + i * (w + gap)), y, width: w, height: h }));
  const pager = cut.pages > 1 ? { x: 0, y: height, width, height: pagerHeight } : null;
  const large = { x: 0, y: 0, width, height: y - gap };
  return { large, boxes, pager, first: cut.first, page: cut.page, pages: cut.pages };
}

function turn(count: number, size: number, wanted: number) {
  const pages = Math.max(1, Math.ceil(count / size));
  const page = Math.max(0, Math.min(pages - 1, wanted));
  return { first: page * size, here: Math.min(size, count - page * size), page, pages };
}

function places(count: number, box: (i: number) => Box): Box[] {
  return Array.from({ length: count }, (_, i) => box(i));
}
