// Moving pictures for the stage, drawn on canvases.

function canvas(
  width: number,
  height: number,
  draw: (c: CanvasRenderingContext2D, t: number) => void,
): MediaStreamTrack {
  const element = document.createElement("canvas");
  element.width = width;
  element.height = height;
  const context = element.getContext("2d") as CanvasRenderingContext2D;
  const frame = () => draw(context, performance.now() / 1000);
  frame();
  setInterval(frame, 100);
  return element.captureStream(10).getVideoTracks()[0] as MediaStreamTrack;
}

/** Somebody in front of a wall. */
export function personPicture(id: string, n: number): MediaStreamTrack {
  const hue = (n * 47 + id.length * 13) % 360;
  return canvas(640, 360, (c, t) => {
    const wall = c.createLinearGradient(0, 0, 640, 360);
    wall.addColorStop(0, `hsl(${hue} 26% 72%)`);
    wall.addColorStop(1, `hsl(${(hue + 40) % 360} 22% 46%)`);
    c.fillStyle = wall;
    c.fillRect(0, 0, 640, 360);
    c.fillStyle = `hsl(${(hue + 180) % 360} 18% 82% / 70%)`;
    c.fillRect(60 + (n % 3) * 160, 40, 120, 150);
    const sway = Math.sin(t * 1.3 + n) * 5;
    c.fillStyle = `hsl(${(hue + 200) % 360} 34% 30%)`;
    c.beginPath();
    c.ellipse(320 + sway / 2, 385, 150, 140, 0, 0, 7);
    c.fill();
    c.fillStyle = ["#e8c4a0", "#c89878", "#8d5f45", "#f0d3b8"][n % 4] ?? "#ccc";
    c.beginPath();
    c.ellipse(320 + sway, 175, 62, 78, 0, 0, 7);
    c.fill();
    c.fillStyle = ["#2b1d17", "#5b3a22", "#1b1b1f", "#8a6a45"][(n >> 1) % 4] ?? "#222";
    c.beginPath();
    c.ellipse(320 + sway, 125, 68, 44, 0, 3.1, 6.3);
    c.fill();
  });
}

/** A shared screen: a drawing of a bridge. */
export function screenPicture(): MediaStreamTrack {
  return canvas(1280, 720, (c, t) => {
    c.fillStyle = "#fbfbf8";
    c.fillRect(0, 0, 1280, 720);
    c.fillStyle = "#0f766e";
    c.font = "600 40px sans-serif";
    c.fillText("Pier 3: settlement since March", 70, 100);
    c.strokeStyle = "#cbd5d3";
    c.lineWidth = 2;
    for (let y = 180; y <= 620; y += 88) {
      c.beginPath();
      c.moveTo(70, y);
      c.lineTo(1210, y);
      c.stroke();
    }
    c.strokeStyle = "#0f766e";
    c.lineWidth = 5;
    c.beginPath();
    for (let x = 70; x <= 1210; x += 10) c.lineTo(x, 560 - (x - 70) * 0.22 - Math.sin(x / 90 + t / 3) * 26);
    c.stroke();
  });
}
