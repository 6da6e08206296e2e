// Drives Converse.js in a browser: node converse.mjs CHROMIUM PAGE WEBSOCKET SPKI JID PASSWORD PEER PICTURE
//
// Signs in, waits for the peer's greeting, answers it as a person would (by typing), waits for the peer's thanks.
// Then signs in afresh, with an empty browser: the conversation comes from the archive.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, page0, websocket, spki, jid, password, peer, picture] = process.argv.slice(2);
const patience = 120_000;
const began = performance.now();
const say = (text) => console.log(`${((performance.now() - began) / 1000).toFixed(3).padStart(7)}  ${text}`);

const address = `${page0}#${new URLSearchParams({ websocket, jid, password })}`;
const args = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  `--ignore-certificate-errors-spki-list=${spki}`, // of the server's self-signed certificate, and of no other
];

// visit runs a story in a browser of its own, with an empty profile.
async function visit(story) {
  const spoken = [];
  const profile = mkdtempSync(join(tmpdir(), "bearhug-chromium"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, args, headless: true, viewport: { width: 1200, height: 800 },
  });
  try {
    const page = context.pages()[0] ?? await context.newPage();
    page.setDefaultTimeout(patience);
    // Nothing leaves this machine.
    await context.route((url) => url.hostname !== "127.0.0.1" && url.protocol !== "data:" && url.protocol !== "blob:", (route) => {
      say(`not fetched: ${route.request().url()}`);
      return route.abort();
    });
    page.on("console", (m) => ["error", "warning"].includes(m.type()) && !m.text().includes("DEPRECATED")
      && say(`browser: ${m.type()}: ${m.text().slice(0, 200)}`));
    page.on("pageerror", (e) => say(`browser: ${e}`));
    page.on("websocket", (ws) => {
      say(`WebSocket to ${ws.url()}`);
      ws.on("framesent", (f) => spoken.push(`-> ${f.payload}`));
      ws.on("framereceived", (f) => spoken.push(`<- ${f.payload}`));
      ws.on("socketerror", (e) => say(`WebSocket: ${e}`));
    });
    await page.goto(address);
    await page.waitForFunction(() => window.api?.connection?.connected(), null, { timeout: patience });
    // A conversation opened before these is never shown.
    await page.evaluate(() => Promise.all(["chatBoxesFetched", "rosterContactsFetched"].map((e) => window.api.waitUntil(e))));
    say("signed in");
    await story(page);
    await page.evaluate(() => window.api.user.logout());
    say("signed out");
  } catch (e) {
    for (const frame of spoken.slice(-80)) say(frame.slice(0, 600)); // what went over the wire
    throw e;
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

const bubble = (page, text) => page.locator(".chat-msg__text", { hasText: text }).first();

await visit(async (page) => {
  await page.evaluate((who) => window.api.chats.open(who, {}, true), peer);
  await bubble(page, "hello from slixmpp ☕ <&>").waitFor();
  say("the greeting of slixmpp is on the screen");
  const field = page.locator("textarea.chat-textarea").first();
  await field.click();
  await field.pressSequentially("hello from Converse.js 👋 <&>");
  await field.press("Enter");
  await bubble(page, "hello from Converse.js 👋 <&>").waitFor();
  say("the answer is on the screen");
  await bubble(page, "thanks, I read: hello from Converse.js 👋 <&>").waitFor();
  say("the thanks of slixmpp are on the screen");
  const shows = await page.evaluate((who) => window.api.contacts.get(who).then((c) => `${c?.get("subscription")}`), peer);
  if (shows !== "both" && shows !== "to" && shows !== "from") throw new Error(`the peer is no contact: ${shows}`);
  say(`the peer is a contact: ${shows}`);
  await page.screenshot({ path: picture });
  say(`picture: ${picture}`);
});

await visit(async (page) => {
  await page.evaluate((who) => window.api.chats.open(who, {}, true), peer);
  for (const text of ["hello from slixmpp ☕ <&>", "hello from Converse.js 👋 <&>", "thanks, I read: hello from Converse.js 👋 <&>"]) {
    await bubble(page, text).waitFor();
    say(`from the archive: ${text}`);
    const times = await page.locator(".chat-msg__text").filter({ hasText: new RegExp(`^\\s*${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s*$`) }).count();
    if (times !== 1) throw new Error(`${text}: ${times} times`);
  }
});
say("done");
