// Dialogs: Kobalte keeps the focus inside and gives it back afterwards.

import * as Alert from "@kobalte/core/alert-dialog";
import * as Dialog from "@kobalte/core/dialog";
import { createEffect, For, type JSX } from "solid-js";
import type { Devices } from "../../media/devices.ts";
import { chime } from "../../media/level.ts";
import { Camera, Close, Mic, Speaker } from "../icons.tsx";
import { comesFrom } from "../returning.ts";
import type { Catalogue } from "../text/en.ts";
import { t } from "../text/text.ts";
import { DeviceSelect } from "./DeviceSelect.tsx";
import { LanguageSwitch } from "./LanguageSwitch.tsx";
import { Level } from "./Level.tsx";

/**
 * Remembers what had the focus when a dialog opened, and gives it back: our
 * dialogs open by key or from a menu, so they have no trigger of their own.
 */
function returningFocus(open: () => boolean): (event: Event) => void {
  let from: HTMLElement | null = null;
  createEffect(() => {
    if (open()) from = comesFrom();
  });
  return (event) => {
    event.preventDefault();
    from?.focus();
  };
}

function Frame(props: { open: boolean; close: () => void; title: string; children: JSX.Element }) {
  const giveBack = returningFocus(() => props.open);
  return (
    <Dialog.Root open={props.open} onOpenChange={(open) => !open && props.close()}>
      <Dialog.Portal>
        <Dialog.Overlay class="overlay" />
        <div class="dialog-place">
          <Dialog.Content class="dialog" onCloseAutoFocus={giveBack}>
            <header class="panel-top">
              <Dialog.Title as="h2">{props.title}</Dialog.Title>
              <Dialog.CloseButton class="icon-button" aria-label={t().close}>
                <Close />
              </Dialog.CloseButton>
            </header>
            {props.children}
          </Dialog.Content>
        </div>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** Devices and language while in the meeting. */
export function SettingsDialog(props: { open: boolean; close: () => void; devices: Devices }) {
  return (
    <Frame open={props.open} close={props.close} title={t().settingsTitle}>
      <div class="devices">
        <DeviceSelect devices={props.devices} kind="microphone" icon={<Mic />} />
        <Level track={props.devices.microphone} muted={false} />
        <DeviceSelect devices={props.devices} kind="camera" icon={<Camera />} />
        <DeviceSelect
          devices={props.devices}
          kind="speaker"
          icon={<Speaker />}
          extra={
            <button type="button" class="button small" onClick={() => void chime(props.devices.current("speaker"))}>
              {t().testSpeaker}
            </button>
          }
        />
        <LanguageSwitch />
      </div>
    </Frame>
  );
}

const shortcuts: [string, keyof Catalogue][] = [
  ["M", "keyMute"],
  ["V", "keyCamera"],
  ["H", "keyHand"],
  ["S", "keyShare"],
  ["C", "keyChat"],
  ["P", "keyPeople"],
  ["G", "keyView"],
  ["I", "keyConnection"],
  ["F", "keyFullscreen"],
  ["?", "keyHelp"],
  ["Esc", "keyEscape"],
];

/** The list of shortcuts. */
export function HelpDialog(props: { open: boolean; close: () => void }) {
  return (
    <Frame open={props.open} close={props.close} title={t().helpTitle}>
      <dl class="shortcuts">
        <For each={shortcuts}>
          {([key, what]) => (
            <div>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{t()[what] as string}</dd>
            </div>
          )}
        </For>
      </dl>
      <p class="hint">{t().helpNote}</p>
    </Frame>
  );
}

interface ConfirmProps {
  open: boolean;
  title: string;
  text: string;
  action: string;
  close: () => void;
  confirm: () => void;
  /** Nothing bad comes of it, and "not now" is a fine answer. */
  calm?: boolean;
}

/** Asks before something that cannot be undone. */
export function Confirm(props: ConfirmProps) {
  const giveBack = returningFocus(() => props.open);
  return (
    <Alert.Root open={props.open} onOpenChange={(open) => !open && props.close()}>
      <Alert.Portal>
        <Alert.Overlay class="overlay" />
        <div class="dialog-place">
          <Alert.Content class="dialog dialog-small" onCloseAutoFocus={giveBack}>
            <Alert.Title as="h2">{props.title}</Alert.Title>
            <Alert.Description>{props.text}</Alert.Description>
            <div class="row end">
              <button type="button" class="button" onClick={() => props.close()}>
                {props.calm ? t().notNow : t().cancel}
              </button>
              <button
                type="button"
                class="button"
                classList={{ danger: !props.calm, primary: props.calm === true }}
                onClick={() => {
                  props.confirm();
                  props.close();
                }}
              >
                {props.action}
              </button>
            </div>
          </Alert.Content>
        </div>
      </Alert.Portal>
    </Alert.Root>
  );
}
