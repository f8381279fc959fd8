// Takes pictures of every page on the stage: desktop and phone, light and
// dark. `npm run shots`; they land in e2e/out/shots.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { createServer } from "vite";

const out = fileURLToPath(new URL("../e2e/out/shots/", import.meta.url));
const only = process.argv[2] ?? "";

const enter = async (page) => {
  await page.getByRole("button", { name: /Join now|立即加入/ }).click();
  await page.locator("#controls").waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".tile").length > 0);
  await page.waitForFunction(() => {
    const videos = [...document.querySelectorAll(".tile video, .screen video")];
    return videos.filter((v) => v.srcObject).every((v) => v.classList.contains("showing"));
  });
  await page.evaluate(() => {
    for (const b of document.querySelectorAll(".toast button")) b.click();
  });
};
const press = (key) => async (page) => {
  await enter(page);
  await page.keyboard.press(key);
};

const shots = [
  { name: "landing", path: "/" },
  {
    name: "created",
    path: "/",
    act: async (page) => {
      await page.getByLabel(/^(Topic|主題)/).fill("Harbour bridge: weekly review");
      await page.getByRole("button", { name: /Create meeting|建立會議/ }).click();
      await page.getByRole("link", { name: /Go to the lobby|前往等候室/ }).waitFor();
    },
  },
  { name: "lobby", path: "/j/123456789?pwd=x", act: async (page) => page.locator(".way-ready").waitFor() },
  {
    name: "passcode",
    path: "/j/123456789?problem=wrong_passcode",
    act: async (page) => page.locator(".passcode").waitFor(),
  },
  { name: "ended", path: "/j/123456789?problem=meeting_ended", act: async (page) => page.locator(".note").waitFor() },
  { name: "alone", path: "/j/123456789?people=0", act: enter },
  { name: "room-2", path: "/j/123456789?people=1", act: enter },
  { name: "room-9", path: "/j/123456789?people=8", act: enter },
  { name: "room-25", path: "/j/123456789?people=24", act: enter },
  { name: "speaker", path: "/j/123456789?people=6", act: press("g") },
  { name: "share", path: "/j/123456789?people=5&share", act: enter },
  { name: "chat", path: "/j/123456789?people=4", act: press("c") },
  { name: "people", path: "/j/123456789?people=7", act: press("p") },
  { name: "connection", path: "/j/123456789?people=4", act: press("i") },
  { name: "help", path: "/j/123456789?people=4", act: press("?") },
  {
    name: "menu",
    path: "/j/123456789?people=4",
    act: async (page) => {
      await enter(page);
      await page.getByRole("button", { name: /^(More|更多)$/ }).click();
      await page.getByRole("menu").waitFor();
    },
  },
  {
    name: "check",
    path: "/check/123456789?pwd=x",
    act: async (page) =>
      page
        .getByText(/Nothing stands|do(es)? not work|沒有任何阻礙|無法使用/)
        .first()
        .waitFor(),
  },
  {
    name: "left",
    path: "/j/123456789?people=1",
    act: async (page) => {
      await enter(page);
      await page.getByRole("button", { name: /^(Leave|離開)$/ }).click();
      await page.getByRole("menuitem", { name: /Leave the meeting|離開會議/ }).click();
      await page.getByRole("heading", { name: /You left the meeting|您已離開會議/ }).waitFor();
    },
  },
];

mkdirSync(out, { recursive: true });
const server = await createServer({
  configFile: fileURLToPath(new URL("./vite.config.ts", import.meta.url)),
  server: { port: 0 },
});
await server.listen();
const base = server.resolvedUrls?.local[0]?.replace(/\/$/, "") ?? "";
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-background-networking"],
});
const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 375, height: 667 } };
const locale = process.env.SHOT_LOCALE ?? "en-US";
for (const [device, viewport] of Object.entries(sizes)) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({
      viewport,
      colorScheme,
      locale,
      deviceScaleFactor: 1,
      isMobile: device === "phone",
      hasTouch: device === "phone",
    });
    await context.addInitScript(() => localStorage.setItem("causeway", JSON.stringify({ name: "Taipei office" })));
    for (const shot of shots) {
      if (only && !`${shot.name}-${device}-${colorScheme}`.includes(only)) continue;
      const page = await context.newPage();
      page.on("pageerror", (e) => process.stdout.write(`${shot.name}: ${e.message}\n`));
      try {
        await page.goto(base + shot.path);
        await page.locator("#app *").first().waitFor();
        await shot.act?.(page);
        await page.waitForTimeout(400); // transitions
      } catch (error) {
        process.stdout.write(`${shot.name}-${device}: ${error}\n`);
      }
      await page.screenshot({ path: `${out}${shot.name}-${device}-${colorScheme}.png` });
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
await server.close();
