// A moving picture that never shows a gap: when its stream is replaced, the
// old one stays until the new one has a frame.
import { createEffect, createSignal, For, on, onCleanup, onMount, untrack } from "solid-js";
import { shows, takeVideo } from "../../media/videos.ts";

interface Layer {
  stream: MediaStream;
  seen: () => boolean;
  see: () => void;
}

interface Props {
  stream: MediaStream | undefined;
  /** Whether the old stream shows the same as the new one, so that it may stay until that has a frame. */
  same: (old: MediaStream, next: MediaStream) => boolean;
  mirrored?: boolean;
  /** Told whether anything is to be seen. */
  seen?: (seen: boolean) => void;
}

export function Picture(props: Props) {
  const [layers, setLayers] = createSignal<Layer[]>([]);
  createEffect(
    on(
      () => props.stream,
      (stream) => {
        const kept = stream ? untrack(layers).filter((l) => l.seen() && props.same(l.stream, stream)) : [];
        if (kept.length === 0) props.seen?.(false);
        setLayers(stream ? [...kept.slice(-1), layer(stream)] : []);
      },
    ),
  );
  const layer = (stream: MediaStream): Layer => {
    const [seen, setSeen] = createSignal(false);
    const see = () => {
      setSeen(true);
      props.seen?.(true);
      setLayers((all) => all.slice(all.findIndex((l) => l.stream === stream)));
    };
    return { stream, seen, see };
  };
  return <For each={layers()}>{(l) => <Video layer={l} mirrored={props.mirrored ?? false} />}</For>;
}

/** A video element that shows itself once it has a picture. */
function Video(props: { layer: Layer; mirrored: boolean }) {
  const { stream, see } = props.layer;
  const video = takeVideo(stream);
  let wait = 0;
  onMount(() => {
    if (shows(video)) see();
    else wait = video.requestVideoFrameCallback(see);
  });
  onCleanup(() => {
    video.cancelVideoFrameCallback(wait);
    video.srcObject = null;
  });
  createEffect(() => {
    video.classList.toggle("showing", props.layer.seen());
    video.classList.toggle("mirrored", props.mirrored);
  });
  return video;
}
