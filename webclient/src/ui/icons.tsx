// Our own icons: 24 × 24, one stroke width, drawn to sit together.
import type { JSX } from "solid-js";

function icon(paths: () => JSX.Element) {
  return () => (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      {paths()}
    </svg>
  );
}

export const Mic = icon(() => (
  <>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
  </>
));
export const MicOff = icon(() => (
  <>
    <path d="M15 10.5V6a3 3 0 0 0-5.7-1.3M9 9v2a3 3 0 0 0 4.6 2.5" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 10.3 5.3M18.5 11.5a6.4 6.4 0 0 1-.5 2.6M12 18v3M4 4l16 16" />
  </>
));
export const Camera = icon(() => (
  <>
    <rect x="3" y="6.5" width="12.5" height="11" rx="2.5" />
    <path d="m15.5 10.7 4.3-2.6a.8.8 0 0 1 1.2.7v6.4a.8.8 0 0 1-1.2.7l-4.3-2.6" />
  </>
));
export const CameraOff = icon(() => (
  <>
    <path d="M15.5 13.3v-4.3a2.5 2.5 0 0 0-2.5-2.5H9M5 6.7A2.5 2.5 0 0 0 3 9v6a2.5 2.5 0 0 0 2.5 2.5H13a2.5 2.5 0 0 0 1.6-.6" />
    <path d="m15.5 10.7 4.3-2.6a.8.8 0 0 1 1.2.7v6.4a.8.8 0 0 1-1 .8M4 4l16 16" />
  </>
));
export const Screen = icon(() => (
  <>
    <rect x="3" y="4.5" width="18" height="12.5" rx="2.5" />
    <path d="M12 13.5V8.2M9.5 10.4 12 8l2.5 2.4M8.5 20.5h7" />
  </>
));
export const ScreenStop = icon(() => (
  <>
    <rect x="3" y="4.5" width="18" height="12.5" rx="2.5" />
    <path d="m9.8 8.6 4.4 4.4M14.2 8.6 9.8 13M8.5 20.5h7" />
  </>
));
export const Hand = icon(() => (
  <path d="M8.2 12.5V6.2a1.4 1.4 0 0 1 2.8 0v4.6-6.4a1.4 1.4 0 0 1 2.8 0v6.4-5a1.4 1.4 0 0 1 2.8 0v8.7c0 3.9-2.3 6.5-5.7 6.5-2.7 0-4.3-1.2-5.6-3.6l-2-3.7a1.5 1.5 0 0 1 2.5-1.6l2.4 2.4" />
));
export const ChatBubble = icon(() => (
  <>
    <path d="M4 6.8A2.8 2.8 0 0 1 6.8 4h10.4A2.8 2.8 0 0 1 20 6.8v6.9a2.8 2.8 0 0 1-2.8 2.8H11l-4.4 3.3a.5.5 0 0 1-.8-.4v-3A2.8 2.8 0 0 1 4 13.7z" />
    <path d="M8.3 8.8h7.4M8.3 12h4.6" />
  </>
));
export const People = icon(() => (
  <>
    <circle cx="9" cy="8.2" r="3.4" />
    <path d="M2.8 19.5c.3-3.4 2.8-5.5 6.2-5.5s5.9 2.1 6.2 5.5M15.6 5.1a3.4 3.4 0 0 1 0 6.2M17.6 14.4c2.1.7 3.4 2.5 3.6 5.1" />
  </>
));
export const More = icon(() => (
  <g class="filled">
    <circle cx="5.5" cy="12" r="1.7" />
    <circle cx="12" cy="12" r="1.7" />
    <circle cx="18.5" cy="12" r="1.7" />
  </g>
));
export const Leave = icon(() => (
  <path d="M4.2 15.7 3.4 14c-.5-1-.2-2.1.6-2.8C6.2 9.4 9 8.5 12 8.5s5.8.9 8 2.7c.8.7 1.1 1.8.6 2.8l-.8 1.7c-.4.9-1.4 1.3-2.3 1l-2.3-.8a1.5 1.5 0 0 1-1-1.4v-1.2a8.7 8.7 0 0 0-4.4 0v1.2c0 .6-.4 1.2-1 1.4l-2.3.8c-.9.3-1.9-.1-2.3-1z" />
));
export const Gallery = icon(() => (
  <>
    <rect x="3.5" y="4.5" width="7.5" height="6.5" rx="1.8" />
    <rect x="13" y="4.5" width="7.5" height="6.5" rx="1.8" />
    <rect x="3.5" y="13" width="7.5" height="6.5" rx="1.8" />
    <rect x="13" y="13" width="7.5" height="6.5" rx="1.8" />
  </>
));
export const SpeakerView = icon(() => (
  <>
    <rect x="3.5" y="4.5" width="17" height="9.5" rx="2" />
    <path d="M4.5 18.5h3.3M10.3 18.5h3.4M16.2 18.5h3.3" />
  </>
));
export const Signal = icon(() => <path d="M5 19v-3.5M9.7 19v-7M14.3 19V8.5M19 19V5" />);
export const Gear = icon(() => (
  <>
    <path d="M4 7.5h8.5M17.5 7.5H20M4 16.5h2.5M11.5 16.5H20" />
    <circle cx="15" cy="7.5" r="2.5" />
    <circle cx="9" cy="16.5" r="2.5" />
  </>
));
export const Help = icon(() => (
  <>
    <rect x="2.8" y="6" width="18.4" height="12" rx="2.5" />
    <path d="M6.5 10h.01M10.2 10h.01M13.8 10h.01M17.5 10h.01M8 14h8" />
  </>
));
export const Copy = icon(() => (
  <>
    <rect x="8.5" y="8.5" width="11.5" height="11.5" rx="2.5" />
    <path d="M5.5 15.5A1.5 1.5 0 0 1 4 14V6.5A2.5 2.5 0 0 1 6.5 4H14a1.5 1.5 0 0 1 1.5 1.5" />
  </>
));
export const Check = icon(() => <path d="m5 12.5 4.5 4.5L19 7.5" />);
export const Close = icon(() => <path d="M6 6l12 12M18 6 6 18" />);
export const Down = icon(() => <path d="M12 5v14M6 13l6 6 6-6" />);
export const Left = icon(() => <path d="m14.5 5.5-6.5 6.5 6.5 6.5" />);
export const Right = icon(() => <path d="m9.5 5.5 6.5 6.5-6.5 6.5" />);
export const Speaker = icon(() => (
  <path d="M4 9.8v4.4h3.2l4.3 3.6V6.2L7.2 9.8zM15 9.3a4 4 0 0 1 0 5.4M17.6 6.7a7.6 7.6 0 0 1 0 10.6" />
));
export const Send = icon(() => <path d="M5 12 4 5.2 20.5 12 4 18.8zm0 0h7" />);
export const Pin = icon(() => <path d="M9 4h6l-.7 6 3.2 3v1.5h-11V13l3.2-3zM12 14.5V20" />);
export const Star = icon(() => <path d="m12 4.3 2.3 4.9 5.3.7-3.9 3.7 1 5.3L12 16.3l-4.7 2.6 1-5.3-3.9-3.7 5.3-.7z" />);
export const Globe = icon(() => (
  <>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M3.5 12h17M12 3.5c2.4 2.3 3.6 5.1 3.6 8.5s-1.2 6.2-3.6 8.5c-2.4-2.3-3.6-5.1-3.6-8.5S9.6 5.8 12 3.5z" />
  </>
));
export const Warning = icon(() => (
  <path d="M12 9.5v4M12 16.8v.01M10.6 4.8 3.4 17.3A1.6 1.6 0 0 0 4.8 19.7h14.4a1.6 1.6 0 0 0 1.4-2.4L13.4 4.8a1.6 1.6 0 0 0-2.8 0z" />
));
export const Expand = icon(() => <path d="M14.5 4.5h5v5M9.5 19.5h-5v-5M19.5 4.5 14 10M4.5 19.5 10 14" />);
export const Lock = icon(() => (
  <>
    <rect x="5" y="10.5" width="14" height="9.5" rx="2.5" />
    <path d="M8 10.5V8a4 4 0 0 1 8 0v2.5" />
  </>
));
export const Route = icon(() => (
  <>
    <circle cx="6" cy="18" r="2.3" />
    <circle cx="18" cy="6" r="2.3" />
    <path d="M8.3 18h6.2a3 3 0 0 0 0-6H9.5a3 3 0 0 1 0-6h6.2" />
  </>
));
export const Refresh = icon(() => (
  <path d="M19.5 8.5A8 8 0 0 0 5 9M4.5 15.5A8 8 0 0 0 19 15M19.8 4.5v4.2h-4.2M4.2 19.5v-4.2h4.2" />
));

/** The mark: a causeway's arches over water. */
export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" class="logo-ground" />
      <path
        class="logo-arches"
        d="M4.5 11.5h23M7 20.5v-4a3 3 0 0 1 6 0v4M13 20.5v-4a3 3 0 0 1 6 0v4M19 20.5v-4a3 3 0 0 1 6 0v4"
      />
      <path class="logo-water" d="M6 25q2.5-2 5 0t5 0 5 0 5 0" />
    </svg>
  );
}
