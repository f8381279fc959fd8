// What the lab's pages have in common: Chromium with a camera and a microphone
// that the site may use, and one page in it.
//
// Chromium's profile, with what it trusts, is found below HOME.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

/** How long anything may take, in ms. */
export const limit = 60_000;

/** Tells something, in a line of JSON. */
export const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

/**
 * Opens a page that can go to a site; more are further arguments of the
 * browser's. Said is what has come on the console.
 */
export async function openBrowser(url, more = []) {
  const browser = await chromium.launchPersistentContext(profile(url), {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      "--disable-background-networking",
      "--disable-renderer-backgrounding",
      "--disable-backgrounding-occluded-windows",
      "--no-proxy-server",
      ...more,
    ],
    viewport: { width: 1280, height: 800 },
    locale: "en-US",
  });
  await browser.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await browser.newPage();
  const said = [];
  page.on("console", (m) => said.push(m.text()));
  page.on("pageerror", (e) => said.push(e.message));
  return { browser, page, said };
}

/** What stands on a page, for when something went wrong. */
export const textOf = (page) =>
  page
    .locator("body")
    .innerText()
    .catch(() => "");

/**
 * A profile in which the site may use camera and microphone, as after a person has said so. What DevTools grant holds for
 * frames as well that the page does not let have them.
 */
function profile(url) {
  const dir = mkdtempSync(join(process.env.HOME, "profile-"));
  const allowed = { [`${new URL(url).origin}:443,*`]: { setting: 1 } };
  const exceptions = { media_stream_camera: allowed, media_stream_mic: allowed };
  mkdirSync(join(dir, "Default"));
  writeFileSync(join(dir, "Default", "Preferences"), JSON.stringify({ profile: { content_settings: { exceptions } } }));
  return dir;
}
