// The lobby: see and hear oneself, choose devices and a name. Meanwhile the
// way into the meeting is prepared.
import { createEffect, createMemo, createSignal, Match, onCleanup, onMount, Show, Switch } from "solid-js";
import type { Devices } from "../../media/devices.ts";
import { chime } from "../../media/level.ts";
import type { Problem } from "../../protocol/messages.ts";
import { problem, problemOf } from "../../protocol/problems.ts";
import { hopeless } from "../../state/comeback.ts";
import { Entry, type Ticket } from "../../state/entry.ts";
import { checkPath, type MeetingLink, spaced } from "../../state/link.ts";
import { load, save } from "../../state/preferences.ts";
import { Camera, CameraOff, Mic, MicOff, Speaker, Star } from "../icons.tsx";
import { follow } from "../navigation.ts";
import { Avatar } from "../parts/Avatar.tsx";
import { DeviceSelect } from "../parts/DeviceSelect.tsx";
import { Level } from "../parts/Level.tsx";
import { ProblemNote } from "../parts/ProblemNote.tsx";
import { Top } from "../parts/Top.tsx";
import { t } from "../text/text.ts";
import { createTitle } from "../title.ts";
import { watch } from "../watch.ts";

interface Props {
  link: MeetingLink;
  devices: Devices;
  /** The token of an earlier participation in this tab. */
  token: string | undefined;
  enter: (ticket: Ticket, on: { microphone: boolean; camera: boolean }) => void;
}

/** How long nothing is typed before a name counts as whole, in ms: longer than between two keys, and shorter than until Enter. */
const typedMS = 250;

export default function Lobby(props: Props) {
  const remembered = load();
  const entry = new Entry(props.link, remembered.zone ?? "", props.token);
  onCleanup(() => entry.close());
  const state = watch(entry.state);
  const pkg = watch(entry.package);
  const [name, setName] = createSignal(remembered.name);
  // Once the name is typed it is looked up with, so that joining need not wait for that, and Enter may be the next key.
  let typing: ReturnType<typeof setTimeout> | undefined;
  const typed = () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      entry.rename(name());
      if (name().trim()) entry.soon();
    }, typedMS);
  };
  onCleanup(() => clearTimeout(typing));
  const [nameMissing, setNameMissing] = createSignal(false);
  const [joining, setJoining] = createSignal(false);
  const [failed, setFailed] = createSignal<Problem | null>(null);
  const [on, setOn] = createSignal({ microphone: remembered.microphoneOn, camera: remembered.cameraOn });
  const [passcode, setPasscode] = createSignal("");
  let nameField: HTMLInputElement | undefined;
  let passcodeField: HTMLInputElement | undefined;
  let joinButton: HTMLButtonElement | undefined;
  createTitle(() => pkg()?.meeting.topic || t().lobbyTitle);

  /** Whoever only watches needs no devices until a host brings them up. */
  const watching = () => pkg()?.participant.role === "attendee";
  const rest = () => {
    if (!watching()) return;
    props.devices.stop("camera");
    props.devices.stop("microphone");
  };
  createEffect(rest);

  onMount(() => {
    void entry.warm(name());
    const { devices } = props;
    void (on().camera ? devices.openBoth() : devices.open("microphone")).then(rest);
    if (!name()) nameField?.focus();
  });

  /** On, and not held back by the browser or the want of a device. */
  const problems = watch(props.devices.problems);
  const works = (kind: "microphone" | "camera") => on()[kind] && !problems()[kind];
  const toggle = (kind: "microphone" | "camera") => {
    const next = { ...on(), [kind]: !works(kind) };
    setOn(next);
    save({ microphoneOn: next.microphone, cameraOn: next.camera });
    if (kind === "camera") {
      if (next.camera) void props.devices.open("camera");
      else props.devices.stop("camera");
    } else if (next.microphone && !props.devices.microphone.get()) void props.devices.open("microphone");
  };

  /** Whether there is a field for the passcode: it stays while one is tried. */
  const asked = createMemo((before: boolean) => {
    const { step } = state();
    return step === "passcode" || (step === "lookup" && before);
  }, false);

  /** Tries the passcode; once it is right its field is gone, and the focus goes on to what is next. */
  const tryPasscode = async () => {
    if (passcode()) await entry.passcode(passcode());
    if (state().step === "passcode") passcodeField?.focus();
    else (name().trim() ? joinButton : nameField)?.focus();
  };

  const join = async (event: SubmitEvent) => {
    event.preventDefault();
    const wanted = name().trim();
    if (!wanted) {
      setNameMissing(true);
      nameField?.focus();
      return;
    }
    if (joining()) return;
    setJoining(true);
    setFailed(null);
    save({ name: wanted });
    try {
      if (state().step === "passcode") await tryPasscode();
      if (state().step === "passcode") return; // not the right one, or none
      const ticket = await entry.take(wanted);
      props.enter(ticket, {
        // A device that is still being opened comes in time; one that failed does not.
        microphone: on().microphone && !watching() && !props.devices.problems.get().microphone,
        camera: on().camera && !watching() && !props.devices.problems.get().camera,
      });
    } catch (error) {
      const p = problemOf(error);
      if (p.code !== "wrong_passcode") setFailed(p);
    } finally {
      setJoining(false);
    }
  };

  const problemNow = () => {
    const s = state();
    return failed() ?? (s.step === "failed" ? s.problem : null);
  };

  return (
    <div class="page lobby">
      <Top />
      <main class="lobby-main">
        <Show when={!watching()}>
          <Preview
            devices={props.devices}
            on={{ microphone: works("microphone"), camera: works("camera") }}
            name={name()}
            toggle={toggle}
          />
        </Show>
        <div class="lobby-form">
          <h1>{pkg()?.meeting.topic || t().lobbyTitle}</h1>
          <p class="lobby-number">
            {t().meetingNumber} {spaced(props.link.number)}
          </p>
          <Show when={watching()}>
            <p class="badge-line">{t().youWatch}</p>
          </Show>
          <Show when={pkg()?.participant.role === "host"}>
            <p class="badge-line">
              <Star />
              {t().youAreHost}
            </p>
          </Show>
          <Show when={asked()}>
            <Passcode
              text={passcode()}
              type={setPasscode}
              submit={() => void tryPasscode()}
              wrong={isWrong(state())}
              field={(e) => {
                passcodeField = e;
              }}
            />
          </Show>
          <form onSubmit={join} class="lobby-join" novalidate>
            <label class="field">
              <span class="label">{t().yourName}</span>
              <input
                ref={nameField}
                maxlength="64"
                autocomplete="name"
                placeholder={t().namePlaceholder}
                value={name()}
                aria-invalid={nameMissing()}
                aria-describedby={nameMissing() ? "name-error" : undefined}
                onInput={(e) => {
                  setName(e.currentTarget.value);
                  typed();
                  setNameMissing(false);
                }}
              />
              <Show when={nameMissing()}>
                <span class="field-error" id="name-error" role="alert">
                  {t().nameNeeded}
                </span>
              </Show>
            </label>
            <Show
              when={problemNow()}
              fallback={
                <button
                  type="submit"
                  ref={joinButton}
                  class="button primary large"
                  aria-disabled={joining() || (state().step === "passcode" && !passcode())}
                  {...signs(() => entry.soon())}
                >
                  {joining() ? t().joining : t().joinNow}
                </button>
              }
            >
              {(p) => (
                <>
                  <ProblemNote problem={p()} />
                  <Show
                    when={!hopeless(p().code)}
                    fallback={
                      <a class="button large" href="/" onClick={follow}>
                        {t().newOne}
                      </a>
                    }
                  >
                    <button type="button" class="button large" onClick={() => void retry(entry, name(), setFailed)}>
                      {t().tryAgain}
                    </button>
                  </Show>
                </>
              )}
            </Show>
            <Way entry={entry} />
            <a class="check-link" href={checkPath(props.link)} onClick={follow}>
              {t().checkMine}
            </a>
          </form>
        </div>
        <div class="devices">
          <DeviceSelect devices={props.devices} kind="microphone" icon={<Mic />} />
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
        </div>
      </main>
    </div>
  );
}

/** What somebody does who is about to press a button. */
function signs(soon: () => void) {
  return { onPointerEnter: soon, onFocus: soon, onPointerDown: soon, onKeyDown: soon };
}

function retry(entry: Entry, name: string, setFailed: (p: null) => void): Promise<void> {
  setFailed(null);
  return entry.warm(name);
}

function isWrong(state: { step: string; wrong?: boolean }): boolean {
  return state.step === "passcode" && state.wrong === true;
}

/** Oneself, as others will see. */
function Preview(props: {
  devices: Devices;
  on: { microphone: boolean; camera: boolean };
  name: string;
  toggle: (kind: "microphone" | "camera") => void;
}) {
  const camera = watch(props.devices.camera);
  const problems = watch(props.devices.problems);
  const wrong = () => problems().camera ?? problems().microphone;
  const [video, setVideo] = createSignal<HTMLVideoElement>();
  createEffect(() => {
    const element = video();
    const track = camera();
    if (element) element.srcObject = track ? new MediaStream([track]) : null;
  });
  return (
    <div class="preview-place">
      <section class="preview" aria-label={t().preview}>
        <video ref={setVideo} autoplay muted playsinline class="mirrored" classList={{ showing: camera() !== null }} />
        <Show when={!camera()}>
          <div class="preview-off">
            <Avatar id="me" name={props.name || "?"} />
            <p>{props.on.camera ? t().cameraStarting : t().cameraIsOff}</p>
          </div>
        </Show>
        <div class="preview-controls">
          <button
            type="button"
            class="round"
            classList={{ off: !props.on.microphone }}
            aria-pressed={!props.on.microphone}
            aria-label={t().mute}
            data-tip={props.on.microphone ? t().mute : t().unmute}
            onClick={() => props.toggle("microphone")}
          >
            <Show when={props.on.microphone} fallback={<MicOff />}>
              <Mic />
            </Show>
          </button>
          <button
            type="button"
            class="round"
            classList={{ off: !props.on.camera }}
            aria-pressed={!props.on.camera}
            aria-label={t().stopCamera}
            data-tip={props.on.camera ? t().stopCamera : t().startCamera}
            onClick={() => props.toggle("camera")}
          >
            <Show when={props.on.camera} fallback={<CameraOff />}>
              <Camera />
            </Show>
          </button>
        </div>
        <Level track={props.devices.microphone} muted={!props.on.microphone} />
      </section>
      <Show when={wrong()}>{(code) => <ProblemNote problem={problem(code())} />}</Show>
    </div>
  );
}

/** How far the way in is prepared, in one line. */
function Way(props: { entry: Entry }) {
  const state = watch(props.entry.state);
  const ready = () => {
    const s = state();
    return s.step === "ready" ? s : null;
  };
  return (
    <p class="way" role="status" classList={{ "way-ready": ready() !== null }}>
      <Switch fallback={t().wayLookup}>
        <Match when={ready()}>
          {(s) => t().wayReady(s().zone, s().rttMS < 10 ? s().rttMS.toFixed(1) : s().rttMS.toFixed(0))}
        </Match>
        <Match when={state().step === "zones"}>{t().wayZones}</Match>
        <Match when={state().step === "failed"}>{t().wayFailed}</Match>
        <Match when={state().step === "passcode"}>{t().wayPasscode}</Match>
      </Switch>
    </p>
  );
}

interface PasscodeProps {
  text: string;
  type: (text: string) => void;
  submit: () => void;
  wrong: boolean;
  field: (field: HTMLInputElement) => void;
}

function Passcode(props: PasscodeProps) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    props.submit();
  };
  return (
    <form class="passcode" onSubmit={submit} novalidate>
      <label class="field">
        <span class="label">{t().passcodeNeeded}</span>
        <span class="joined">
          <input
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            maxlength="64"
            placeholder={t().passcodePlaceholder}
            value={props.text}
            ref={(e) => {
              props.field(e);
              queueMicrotask(() => e.focus());
            }}
            aria-invalid={props.wrong}
            aria-describedby={props.wrong ? "passcode-error" : undefined}
            onInput={(e) => props.type(e.currentTarget.value)}
          />
          <button type="submit" class="button">
            {t().continue}
          </button>
        </span>
        <Show when={props.wrong}>
          <span class="field-error" id="passcode-error" role="alert">
            {t().passcodeWrong}
          </span>
        </Show>
      </label>
    </form>
  );
}
