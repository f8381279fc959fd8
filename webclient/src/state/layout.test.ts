import { describe, expect, it } from "vitest";
import { type Arrangement, arrange, type Box, landscape, pageSize, portrait, shapeFor, tiling } from "./layout.ts";

describe("tiling", () => {
  it.each([
    [1, 1280, 664, 1, 1],
    [2, 1280, 664, 2, 1],
    [3, 1280, 664, 2, 2],
    [4, 1280, 664, 2, 2],
    [5, 1280, 664, 3, 2],
    [6, 1280, 664, 3, 2],
    [9, 1280, 664, 3, 3],
    [12, 1280, 664, 4, 3],
    [16, 1280, 664, 4, 4],
    [25, 1280, 664, 5, 5],
    [2, 375, 560, 1, 2],
    [6, 375, 560, 2, 3],
  ])("%i tiles in %i × %i are %i × %i", (count, width, height, columns, rows) => {
    const grid = tiling(count, width, height, 10, shapeFor(width, height));
    expect([grid.columns, grid.rows]).toEqual([columns, rows]);
  });
  it("keeps every tile's shape within what is allowed", () => {
    for (let count = 1; count <= 25; count++) {
      const grid = tiling(count, 1280, 664, 10, landscape);
      const ratio = grid.width / grid.height;
      expect(ratio).toBeGreaterThan(landscape.min - 0.02);
      expect(ratio).toBeLessThan(landscape.max + 0.02);
    }
  });
  it("fills the window well from 1 to 25 people", () => {
    for (const [width, height] of [
      [1280, 664],
      [1920, 940],
      [900, 700],
      [375, 560],
    ] as const) {
      for (let count = 1; count <= 25; count++) {
        const grid = tiling(count, width, height, 10, shapeFor(width, height));
        const share = (count * grid.width * grid.height) / (width * height);
        expect(share, `${count} in ${width} × ${height}`).toBeGreaterThan(count === 2 ? 0.5 : 0.6);
      }
    }
  });
  it("survives no room at all", () => {
    expect(tiling(4, 0, 0, 10, landscape)).toMatchObject({ width: 0, height: 0 });
  });
});

const overlap = (a: Box, b: Box) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const all = (a: Arrangement) => [...a.boxes, ...(a.large ? [a.large] : []), ...(a.pager ? [a.pager] : [])];

describe("arrange", () => {
  const input = { width: 1280, height: 664, gap: 10, count: 9, large: false, slots: 25, page: 0 };

  it("never lets two things overlap, nor anything leave the stage", () => {
    for (const [width, height] of [
      [1280, 664],
      [375, 540],
      [667, 260],
      [2400, 1300],
    ] as const) {
      for (const large of [false, true]) {
        for (let count = 0; count <= 40; count++) {
          const boxes = all(arrange({ ...input, width, height, count, large }));
          for (const [i, a] of boxes.entries()) {
            expect(a.x).toBeGreaterThanOrEqual(-1);
            expect(a.y).toBeGreaterThanOrEqual(-1);
            expect(a.x + a.width).toBeLessThanOrEqual(width + 1);
            expect(a.y + a.height).toBeLessThanOrEqual(height + 1);
            for (const b of boxes.slice(i + 1)) expect(overlap(a, b), `${count} in ${width} × ${height}`).toBe(false);
          }
        }
      }
    }
  });
  it("centres the last row", () => {
    const { boxes } = arrange({ ...input, count: 5 });
    const [fourth, fifth] = [boxes[3], boxes[4]];
    const middle = ((fourth?.x ?? 0) + (fifth?.x ?? 0) + (fifth?.width ?? 0)) / 2;
    expect(Math.abs(middle - 640)).toBeLessThan(2);
  });
  it("turns pages when there are more than fit, each tile on exactly one", () => {
    const first = arrange({ ...input, count: 60 });
    expect(first.pages).toBe(3);
    let seen = 0;
    for (let page = 0; page < first.pages; page++) {
      const here = arrange({ ...input, count: 60, page });
      expect(here.first).toBe(seen);
      seen += here.boxes.length;
    }
    expect(seen).toBe(60);
  });
  it("stays on the last page when people have left", () => {
    expect(arrange({ ...input, count: 3, page: 7 }).page).toBe(0);
  });
  it("puts the strip beside what is large, or below it on upright screens", () => {
    const wide = arrange({ ...input, count: 3, large: true });
    expect(wide.boxes[0]?.x).toBeGreaterThan(wide.large?.width ?? 0);
    const tall = arrange({ ...input, width: 375, height: 540, count: 3, large: true });
    expect(tall.boxes[0]?.y).toBeGreaterThan(tall.large?.height ?? 0);
  });
  it("gives what is large everything when it is alone", () => {
    expect(arrange({ ...input, count: 0, large: true }).large).toEqual({ x: 0, y: 0, width: 1280, height: 664 });
  });
});

describe("pageSize", () => {
  it("is never more than the slots", () => expect(pageSize(4000, 3000, 9)).toBe(9));
  it("is never less than two", () => expect(pageSize(100, 80, 25)).toBe(2));
  it("holds 25 on a desktop", () => expect(pageSize(1280, 664, 25)).toBe(25));
});

it("upright windows take square tiles", () => {
  expect(shapeFor(375, 600)).toBe(portrait);
  expect(shapeFor(600, 375)).toBe(landscape);
});
