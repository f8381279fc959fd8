import { createMemo, createUniqueId, For, type JSX } from "solid-js";
import type { DeviceKind, Devices } from "../../media/devices.ts";
import { save } from "../../state/preferences.ts";
import { t } from "../text/text.ts";
import { watch } from "../watch.ts";

/** Chooses one device; the choice is remembered. */
export function DeviceSelect(props: { devices: Devices; kind: DeviceKind; icon: JSX.Element; extra?: JSX.Element }) {
  const id = createUniqueId();
  const list = watch(props.devices.list);
  const choice = watch(props.devices.choice);
  const track = props.kind === "speaker" ? () => null : watch(props.devices[props.kind]);
  const options = () => list()[props.kind];
  const chosen = createMemo(() => {
    track();
    const wish = choice()[props.kind] ?? "";
    const used = props.devices.current(props.kind);
    const has = (x: string) => options().some((d) => d.id === x);
    // Without a choice it is the system's, which browsers list first.
    return [used, wish, "default"].find(has) ?? options()[0]?.id ?? "";
  });
  const problems = watch(props.devices.problems);
  const none = () => {
    const problem = props.kind === "speaker" ? undefined : problems()[props.kind];
    if (!problem) return t().systemDefault; // which there are is told once one was opened
    return problem === "device_denied" ? t().notAllowed : t().noDevices;
  };
  const select = async (value: string) => {
    await props.devices.choose(props.kind, value);
    save({ devices: props.devices.choice.get() });
  };
  return (
    <div class="device">
      <label for={id}>
        {props.icon}
        <span class="visually-hidden">{t()[props.kind]}</span>
      </label>
      <select
        id={id}
        value={chosen()}
        disabled={options().length === 0}
        onChange={(e) => void select(e.currentTarget.value)}
      >
        <For each={options()} fallback={<option value="">{`${t()[props.kind]}: ${none()}`}</option>}>
          {(d, i) => (
            <option value={d.id} selected={d.id === chosen()}>
              {d.label || `${t()[props.kind]} ${i() + 1}`}
            </option>
          )}
        </For>
      </select>
      {props.extra}
    </div>
  );
}
