import type { Box } from "../../state/layout.ts";

/** The style that puts an element into a box. */
export function place(box: Box | null): Record<string, string> {
  if (!box) return { display: "none" };
  return {
    transform: `translate(${box.x}px, ${box.y}px)`,
    width: `${box.width}px`,
    height: `${box.height}px`,
  };
}
