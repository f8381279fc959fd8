// The elements that show streams. One that was made ahead shows the first
// picture as soon as that comes: to make one and have it find its stream takes
// a while, and pictures that come meanwhile are lost.

const ahead = new WeakMap<MediaStream, HTMLVideoElement>();

/** Makes the element for a stream ahead of its first picture. */
export function prepareVideo(stream: MediaStream): void {
  if (!ahead.has(stream)) ahead.set(stream, make(stream));
}

/** An element that shows a stream, for whoever puts it on the page. */
export function takeVideo(stream: MediaStream): HTMLVideoElement {
  const video = ahead.get(stream) ?? make(stream);
  ahead.delete(stream);
  return video;
}

/** Lets go of an element that was made ahead and not taken. */
export function dropVideo(stream: MediaStream): void {
  const video = ahead.get(stream);
  if (video) video.srcObject = null;
}

/** Whether there is a picture to be seen. */
export function shows(video: HTMLVideoElement): boolean {
  return video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
}

function make(stream: MediaStream): HTMLVideoElement {
  const video = document.createElement("video");
  video.autoplay = true;
  video.muted = true;
  video.playsInline = true;
  video.tabIndex = -1;
  video.disablePictureInPicture = true;
  video.srcObject = stream;
  video.play().catch(() => {}); // ended meanwhile
  return video;
}
