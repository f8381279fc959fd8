// The operator's page against a running system: its servers and meetings in tables, without barriers, on a phone too.
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { createMeeting, launch, Person } from "./people.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

it.each(["light", "dark"] as const)("shows the system to who has a key, %s", async (colorScheme) => {
  const meeting = await createMeeting("Operators");
  const [ann, ben] = [await Person.arrive(browser, { colorScheme }), await Person.arrive(browser)];
  await ben.join(meeting.join_url, "Ben");
  const { page } = ann;
  await page.goto(`${inject("url")}/admin`);
  await page.getByLabel("API key").fill("cwk_wrong");
  await ann.accessible();
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  expect(ann.complaints.splice(0).filter((c) => !c.includes("401"))).toEqual([]); // the browser tells of the refusal
  await ann.button("Forget the key").click();
  await page.getByLabel("API key").fill(inject("apiKey"));
  await page.keyboard.press("Enter");
  for (const server of [/^Controller/, /^Router/, /^Tunnel/, /^Web server/]) {
    await page.getByRole("rowheader", { name: server }).first().waitFor();
  }
  const row = page.getByRole("table", { name: "Meetings" }).getByRole("row").filter({ hasText: meeting.number });
  await row.getByText("Operators").waitFor();
  await page.getByRole("img", { name: "Where the zones are" }).waitFor();
  await page.getByRole("listitem").filter({ hasText: "Router" }).filter({ hasText: "appeared" }).first().waitFor();
  await ann.accessible();
  await page.setViewportSize({ width: 375, height: 667 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(375);
  await page.reload();
  await row.getByText("Operators").waitFor(); // the tab knows the key still
  await ann.leave();
  await ben.leave();
});
