// A browser that a test drives: one JSON command a line in, one JSON answer a line out. Every person has a window of their
// own with a virtual authenticator of their own (WebAuthn level 3, section 11; Chromium's CDP domain `WebAuthn`).
import fs from "node:fs";
import http from "node:http";
import readline from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const people = new Map();

const bytes = `(text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0))`;
const text = `(buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "")`;

const commands = {
  async person({ who, authenticator }) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const usual = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
    const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { ...usual, ...authenticator } });
    people.set(who, { page, cdp, authenticatorId, log: [] });
    page.on("console", (message) => message.type() === "error" && people.get(who).log.push(message.text()));
  },
  async open({ page, url }) { await page.goto(url); return page.url(); },
  async press({ page, selector }) { await page.locator(selector).first().click(); },
  async keys({ page, keys }) { for (const key of keys) await page.keyboard.press(key); },
  async fill({ page, selector, value }) { await page.locator(selector).first().fill(value); },
  async until({ page, selector }) { await page.locator(selector).first().waitFor({ state: "attached", timeout: 20000 }); },
  async gone({ page, selector }) { await page.locator(selector).first().waitFor({ state: "detached", timeout: 20000 }); },
  async text({ page, selector }) { return page.locator(selector).first().textContent(); },
  async count({ page, selector }) { return page.locator(selector).count(); },
  async run({ page, script }) { return page.evaluate(script); },
  async resize({ page, width }) { await page.setViewportSize({ width, height: 900 }); },
  // The page may notify, and keeps the words of each notification that it shows.
  async notified({ page }) {
    await page.context().grantPermissions(["notifications"], { origin: new URL(page.url()).origin });
    await page.context().addInitScript(() => {
      window.shown = [];
      const Real = window.Notification;
      window.Notification = class extends Real {
        constructor(title, options) {
          super(title, options);
          this.addEventListener("show", () => { document.documentElement.dataset.shown = window.shown.push(options.body); });
        }
      };
    });
    await page.reload();
  },
  // The person looks at another tab. Playwright makes every page believe that it has the focus: that is ended.
  async look_away({ page, cdp }) {
    await (await page.context().newPage()).bringToFront();
    for (const enabled of [true, false]) await cdp.send("Emulation.setFocusEmulationEnabled", { enabled });
    return page.evaluate("document.hasFocus()");
  },
  // The gateway's answers whose address begins so, as somebody in between would change them.
  async tamper({ page, path, status, replace }) {
    await page.unrouteAll();
    if (path) await page.route((url) => url.pathname.startsWith(path), async (route) => {
      const answer = await route.fetch();
      const body = replace ? (await answer.text()).replace(new RegExp(replace[0], "m"), replace[1]) : await answer.text();
      await route.fulfill({ response: answer, status: status ?? answer.status(), body });
    });
  },
  // More windows of the same browser on one address, each waited for.
  async tabs({ page, url, count, selector }) {
    for (let at = 0; at < count; at += 1) {
      const tab = await page.context().newPage();
      await tab.goto(url, { timeout: 10000 });
      await tab.locator(selector).first().waitFor({ state: "attached", timeout: 10000 });
    }
  },
  async press_last({ page, selector }) { await page.context().pages().at(-1).locator(selector).first().click(); },
  async everywhere({ page, selector }) {
    for (const tab of page.context().pages()) await tab.locator(selector).first().waitFor({ state: "attached", timeout: 20000 });
  },
  async leave_first({ page }) { await page.goto("about:blank"); },
  async screen({ page, path, dark, width, height }) {
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light", reducedMotion: "reduce" });
    await page.setViewportSize({ width, height });
    await page.screenshot({ path, type: "jpeg", quality: 72 });
    await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  },
  async cookie({ page }) { return (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; "); },
  async forget({ cdp }) { await cdp.send("Network.enable"); await cdp.send("Network.setCacheDisabled", { cacheDisabled: true }); },
  // What the page took: bytes as transferred, headers included, and when it first painted.
  async weight({ page }) {
    await page.waitForLoadState("load");
    await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length > 0);
    return page.evaluate(() => {
      const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
      const [paint] = performance.getEntriesByName("first-contentful-paint");
      return { bytes: all.reduce((sum, { transferSize }) => sum + transferSize, 0), paint: Math.round(paint.startTime) };
    });
  },
  async log({ log }) { return log.splice(0); },
  // What a page that is not the console's own script would sign.
  async sign({ page, options }) {
    return page.evaluate(`(async (o) => {
      const bytes = ${bytes}, text = ${text};
      const allowCredentials = o.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) }));
      const c = await navigator.credentials.get({ publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials } });
      const r = c.response;
      return { id: c.id, rawId: text(c.rawId), type: c.type, extensions: {}, response: {
        clientDataJSON: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature),
        userHandle: r.userHandle ? text(r.userHandle) : null } };
    })(${JSON.stringify(options)})`);
  },
  async verified({ cdp, authenticatorId, value }) {
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: value });
  },
  async presence({ cdp, authenticatorId, value }) {
    await cdp.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId, enabled: value });
  },
  async credentials({ cdp, authenticatorId }) {
    return (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials;
  },
  // The same key with another counter: a copy of the authenticator, or a restored one.
  async rewind({ cdp, authenticatorId, counter }) {
    for (const credential of (await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials) {
      await cdp.send("WebAuthn.removeCredential", { authenticatorId, credentialId: credential.credentialId });
      await cdp.send("WebAuthn.addCredential", { authenticatorId, credential: { ...credential, signCount: counter } });
    }
  },
  async axe({ page }) {
    await page.evaluate(fs.readFileSync(axe, "utf8"));
    const { violations } = await page.evaluate("axe.run()");
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
  },
  async look({ page, path, dark, width }) {
    await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
    await page.setViewportSize({ width: width || 1280, height: 900 });
    await page.screenshot({ path, fullPage: true });
  },
  // Adaptive Cards by Microsoft's own renderer: what it warns of, what can be read, pressed and followed.
  async cards({ page, cards }) {
    await page.addScriptTag({ path: require.resolve("adaptivecards/dist/adaptivecards.min.js") });
    return page.evaluate((cards) => cards.map((json) => {
      const { AdaptiveCard, SerializationContext, Versions } = window.AdaptiveCards;
      const context = new SerializationContext(Versions.v1_5), card = new AdaptiveCard();
      card.parse(json, context);
      const parsed = [...Array(context.eventCount).keys()].map((at) => context.getEventAt(at).message);
      const invalid = card.validateProperties().validationEvents.map((one) => one.message);
      const shown = document.createElement("main");
      shown.append(card.render());
      document.body.append(shown);
      const all = (selector) => [...shown.querySelectorAll(selector)];
      return {
        warnings: [...parsed, ...invalid], text: shown.innerText, buttons: all("button").map((one) => one.innerText),
        markup: all("a, img, iframe, script, b, em, strong, h1, li").map((one) => one.outerHTML),
      };
    }), cards);
  },
  // A page of another origin on the same host.
  async elsewhere() {
    const server = http.createServer((_, answer) => { answer.setHeader("content-type", "text/html"); answer.end("<!doctype html><title>elsewhere</title>"); });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return `http://localhost:${server.address().port}/`;
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[command.do]({ ...command, ...people.get(command.who) })) ?? null };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
