// The connection check: one line per thing that a meeting needs, with a verdict
// in plain words and what to do, and all of it as text for an administrator.
import { createSignal, For, onCleanup, onMount, Show } from "solid-js";
import { type CheckName, check, checks, type Line, type Verdict } from "../../state/check.ts";
import { lobbyPath, type MeetingLink } from "../../state/link.ts";
import { Check, Warning } from "../icons.tsx";
import { follow } from "../navigation.ts";
import { CopyButton } from "../parts/CopyField.tsx";
import { Top } from "../parts/Top.tsx";
import { technical } from "../text/technical.ts";
import { t } from "../text/text.ts";
import { createTitle } from "../title.ts";

export default function Checkup(props: { link: MeetingLink | null }) {
  createTitle(() => t().checkTitle);
  const [lines, setLines] = createSignal<Line[]>([]);
  const [done, setDone] = createSignal(false);
  let life = new AbortController();
  const run = async () => {
    life.abort();
    life = new AbortController();
    const { signal } = life;
    setDone(false);
    setLines(checks.map((name) => ({ name, verdict: "running", detail: "" })));
    const tell = (line: Line) => setLines((all) => all.map((l) => (l.name === line.name ? line : l)));
    await check(props.link, tell, signal);
    if (!signal.aborted) setDone(true);
  };
  onMount(() => void run());
  onCleanup(() => life.abort());
  const bad = () => lines().filter((l) => l.verdict === "failed").length;
  const text = () =>
    [`${t().checkTitle} · ${location.origin} · ${new Date().toISOString()}`, ...lines().map(asText)].join("\n");
  return (
    <div class="page">
      <Top />
      <main class="checkup">
        <h1>{t().checkTitle}</h1>
        <p class="hint">{t().checkIntro}</p>
        <p role="status" class="checkup-verdict">
          {done() ? (bad() ? t().checkBad(bad()) : t().checkGood) : t().checkRunning}
        </p>
        <ul class="phases">
          <For each={lines()}>{(line) => <LineOf line={line} />}</For>
        </ul>
        <div class="row">
          <button type="button" class="button" aria-disabled={!done()} onClick={() => done() && void run()}>
            {t().checkAgain}
          </button>
          <CopyButton text={text} label={t().checkCopy} />
          <Show when={props.link}>
            {(link) => (
              <a class="button primary" href={lobbyPath(link())} onClick={follow}>
                {t().goToLobby}
              </a>
            )}
          </Show>
        </div>
      </main>
    </div>
  );
}

const words = (name: CheckName) => t()[`check_${name}`];
const remedy = (name: CheckName) => t()[`checkRemedy_${name}`];
const verdicts = (verdict: Verdict) =>
  ({
    running: t().checkIsRunning,
    ok: t().checkIsOK,
    warning: t().checkIsWarning,
    failed: t().checkIsFailed,
    unknown: t().checkIsUnknown,
  })[verdict];

const needsRemedy = (line: Line) => line.verdict !== "ok" && line.verdict !== "running";

function asText(line: Line): string {
  const detail = line.detail ? ` (${technical(line.detail)})` : "";
  return `${words(line.name)}: ${verdicts(line.verdict)}${detail}${needsRemedy(line) ? ` – ${remedy(line.name)}` : ""}`;
}

function LineOf(props: { line: Line }) {
  return (
    <li class={`phase ${props.line.verdict}`}>
      <p class="phase-head">
        <Show when={props.line.verdict === "ok"} fallback={<Warning />}>
          <Check />
        </Show>
        <strong>{words(props.line.name)}</strong>
        <span>{verdicts(props.line.verdict)}</span>
      </p>
      <Show when={needsRemedy(props.line)}>
        <p class="phase-remedy">{remedy(props.line.name)}</p>
      </Show>
      <Show when={props.line.detail}>
        <p class="hint">{technical(props.line.detail)}</p>
      </Show>
    </li>
  );
}
