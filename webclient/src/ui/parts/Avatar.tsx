import { hue, initials } from "./names.ts";

/** A person without a picture. */
export function Avatar(props: { id: string; name: string }) {
  return (
    <span class={`avatar hue-${hue(props.id)}`} aria-hidden="true">
      {initials(props.name)}
    </span>
  );
}
