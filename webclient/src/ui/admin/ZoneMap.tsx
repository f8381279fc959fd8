// Zones on a map of the world: the larger the circle, the more people; colour and mark say how the zone is.
import { createMemo, For, Show } from "solid-js";
import type { ZoneOverview } from "../../protocol/messages.ts";
import { land } from "./land.ts";
import { a } from "./text.ts";

const smallest = 3; // degrees, the radius of a zone without anybody
const largest = 12;

/** A circle's radius in degrees: its area grows with the people in the zone. */
export function radius(participants: number): number {
  return Math.min(largest, smallest + Math.sqrt(participants) / 4);
}

export function ZoneMap(props: { zones: readonly ZoneOverview[] }) {
  const located = createMemo(() => props.zones.filter((z) => z.located));
  return (
    <figure class="zone-map">
      <svg viewBox="0 8 360 142" role="img" aria-label={a().mapLabel}>
        <path class="land" d={land} />
        <For each={located()}>
          {(zone) => (
            <g class={`zone zone-${zone.state}`} transform={`translate(${zone.lon + 180} ${90 - zone.lat})`}>
              <title>{describe(zone)}</title>
              <circle r={radius(zone.participants)} />
              <Show when={zone.state !== "open"}>
                <path class="mark" d="M-1.5-1.5l3 3M1.5-1.5l-3 3" />
              </Show>
              <text y={-radius(zone.participants) - 1.5}>{zone.name || zone.id}</text>
            </g>
          )}
        </For>
      </svg>
      <Show when={located().length === 0}>
        <figcaption class="hint">{a().mapNone}</figcaption>
      </Show>
    </figure>
  );
}

function describe(zone: ZoneOverview): string {
  return `${zone.name || zone.id}: ${a().zone[zone.state]}, ${a().participants(zone.participants)}`;
}
