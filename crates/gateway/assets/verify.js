// Checks entries of the record in the browser: that an entry's bytes are in the log, at their place, under a checkpoint that the
// log's key signed (c2sp.org/tlog-proof, /tlog-checkpoint, /signed-note; RFC 9162, section 2.1.3.2). It believes nothing that the
// gateway says besides the bytes themselves, but the gateway serves this script too: who must not depend on that runs
// `countersign-verify`. The key that somebody told this browser to keep is compared with the one that signed, and the record with
// what this browser saw of it the last time (RFC 9162, section 2.1.4.2): it may only have grown.
"use strict";
(() => {
  const place = document.getElementById("verify");
  if (!place) return;
  const KEPT = "countersign.log-key";
  const SEEN = "countersign.log-head";
  const PROOF_HASHES_MAX = 64;
  const ED25519 = 1;

  // ---- bytes ----

  const utf8 = (text) => new TextEncoder().encode(text);
  const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
  function joined(...parts) {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) { all.set(part, at); at += part.length; }
    return all;
  }
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
  function fail(words) { throw new Error(words); }

  // ---- the key, the note, the checkpoint ----

  // `name+id+base64(algorithm || key)`; the id is made of the name and the key.
  async function readKey(text) {
    const [name, id, ...rest] = text.trim().split("+");
    const blob = fromBase64(rest.join("+"));
    if (!name || blob.length !== 33 || blob[0] !== ED25519) fail("this is not the key of a log");
    const made = (await sha256(utf8(`${name}\n`), blob)).slice(0, 4);
    if (hex(made) !== id) fail("the key does not fit its own id");
    const key = await crypto.subtle.importKey("raw", blob.slice(1), { name: "Ed25519" }, false, ["verify"]);
    return { name, id: made, key, fingerprint: hex(await sha256(blob.slice(1))) };
  }

  async function readCheckpoint(note, key) {
    const end = note.lastIndexOf("\n\n");
    if (end < 0) fail("the checkpoint carries no signature");
    const text = note.slice(0, end + 1);
    let signed = false;
    for (const line of note.slice(end + 2).split("\n")) {
      const [, name, blob] = /^\u2014 (\S+) (\S+)$/u.exec(line) || [];
      if (name !== key.name) continue;
      const bytes = fromBase64(blob);
      if (!same(bytes.slice(0, 4), key.id)) continue;
      signed ||= await crypto.subtle.verify("Ed25519", key.key, bytes.slice(4), utf8(text));
    }
    if (!signed) fail("the checkpoint is not signed by this key");
    const [origin, size, root] = text.split("\n");
    if (origin !== key.name) fail("the checkpoint is of another log");
    if (!/^(0|[1-9][0-9]{0,18})$/.test(size)) fail("the checkpoint has no size");
    return { size: BigInt(size), root: fromBase64(root) };
  }

  // ---- the proof ----

  function readProof(text) {
    const lines = text.split("\n");
    if (lines.shift() !== "c2sp.org/tlog-proof@v1") fail("this is not a proof");
    if (lines[0]?.startsWith("extra ")) lines.shift();
    const [, index] = /^index (0|[1-9][0-9]{0,18})$/.exec(lines.shift() ?? "") || [];
    const blank = lines.indexOf("");
    if (index === undefined || blank < 0 || blank > PROOF_HASHES_MAX) fail("the proof is malformed");
    return { index: BigInt(index), hashes: lines.slice(0, blank).map(fromBase64), checkpoint: lines.slice(blank + 1).join("\n") };
  }

  async function climb(leaf, index, size, hashes) {
    if (index >= size) fail("the entry lies beyond the checkpoint");
    let [node, last, hash] = [index, size - 1n, await sha256(Uint8Array.of(0), leaf)];
    for (const sibling of hashes) {
      if (last === 0n) fail("the proof is too long");
      if ((node & 1n) === 1n || node === last) {
        hash = await sha256(Uint8Array.of(1), sibling, hash);
        while ((node & 1n) === 0n && node !== 0n) { node >>= 1n; last >>= 1n; }
      } else {
        hash = await sha256(Uint8Array.of(1), hash, sibling);
      }
      node >>= 1n;
      last >>= 1n;
    }
    if (last !== 0n) fail("the proof is too short");
    return hash;
  }

  // ---- whether it only grew ----

  // `old N`, the hashes, an empty line, the checkpoint of now (c2sp.org/tlog-witness).
  function readGrowth(text, old) {
    const lines = text.split("\n");
    const blank = lines.indexOf("");
    if (lines[0] !== `old ${old.size}` || blank < 0 || blank - 1 > PROOF_HASHES_MAX) fail("what should prove it is malformed");
    return { hashes: lines.slice(1, blank).map(fromBase64), note: lines.slice(blank + 1).join("\n") };
  }

  async function grew(old, now, hashes) {
    if (old.size > now.size) fail("it has fewer entries than before");
    if (old.size === now.size || old.size === 0n) {
      if (hashes.length > 0 || (old.size > 0n && !same(old.root, now.root))) fail("entries that were there are others now");
      return;
    }
    const isWhole = (old.size & (old.size - 1n)) === 0n;
    const [first, ...path] = isWhole ? [old.root, ...hashes] : hashes;
    if (!first) fail("the proof is too short");
    let [node, last, before, after] = [old.size - 1n, now.size - 1n, first, first];
    while ((node & 1n) === 1n) { node >>= 1n; last >>= 1n; }
    for (const sibling of path) {
      if (last === 0n) fail("the proof is too long");
      if ((node & 1n) === 1n || node === last) {
        before = await sha256(Uint8Array.of(1), sibling, before);
        after = await sha256(Uint8Array.of(1), sibling, after);
        while ((node & 1n) === 0n && node !== 0n) { node >>= 1n; last >>= 1n; }
      } else {
        after = await sha256(Uint8Array.of(1), after, sibling);
      }
      node >>= 1n;
      last >>= 1n;
    }
    if (last !== 0n) fail("the proof is too short");
    if (!same(before, old.root) || !same(after, now.root)) fail("entries that were there are others now");
  }

  // What this browser saw last: the log's key, a signed note, and when.
  const seen = () => { try { return JSON.parse(localStorage.getItem(SEEN)); } catch { return null; } };
  function remember(note) {
    try { localStorage.setItem(SEEN, JSON.stringify({ key: place.dataset.key, note, at: Date.now() })); } catch { /* not kept */ }
  }

  // Compares what is with what was; throws where it did not only grow, and then keeps what was.
  async function since(key) {
    const last = seen();
    if (!last) {
      const answer = await fetch("/record/since/0");
      if (!answer.ok || answer.redirected) fail("the gateway does not give out its checkpoint");
      const { note } = readGrowth(await answer.text(), { size: 0n });
      const now = await readCheckpoint(note, key);
      remember(note);
      return `This browser remembers the record as it is now, ${now.size} entries, and compares it with what it finds the next time.`;
    }
    if (last.key !== place.dataset.key) fail("the gateway names another key than when this browser last looked");
    const old = await readCheckpoint(last.note, key);
    const answer = await fetch(`/record/since/${old.size}`);
    if (answer.status === 404) fail(`it has fewer entries than the ${old.size} that it had`);
    if (!answer.ok || answer.redirected) return "The gateway does not say now how the record grew.";
    const { hashes, note } = readGrowth(await answer.text(), old);
    const now = await readCheckpoint(note, key);
    await grew(old, now, hashes);
    const when = new Date(last.at).toLocaleString();
    remember(note);
    return `The record only grew since this browser last looked, ${when}: ${old.size} entries then, ${now.size} now.`;
  }

  async function check(index, key) {
    const get = async (what) => {
      const answer = await fetch(`/record/${index}/${what}`);
      if (!answer.ok || answer.redirected) fail(`the gateway does not give out entry ${index}`);
      return new Uint8Array(await answer.arrayBuffer());
    };
    const [leaf, proof] = [await get("leaf"), readProof(new TextDecoder("utf-8", { fatal: true }).decode(await get("proof")))];
    if (proof.index !== BigInt(index)) fail("the proof is of another entry");
    const checkpoint = await readCheckpoint(proof.checkpoint, key);
    const root = await climb(leaf, proof.index, checkpoint.size, proof.hashes);
    if (!same(root, checkpoint.root)) fail(`entry ${index} is not in the log as signed`);
    const shown = document.querySelector(`#leaf-${index} pre code`);
    if (shown && !shown.querySelector("i.unseen") && shown.textContent !== new TextDecoder().decode(leaf)) {
      fail(`entry ${index} is not what this page shows`);
    }
    return { index, size: checkpoint.size, hashes: proof.hashes.length };
  }

  // ---- the page ----

  const result = place.querySelector(".result:not(.since)");
  const growth = place.querySelector(".since");
  const element = (name, words) => Object.assign(document.createElement(name), { textContent: words });
  function tell(tone, ...parts) {
    growth.className = `result since ${tone}`;
    growth.setAttribute("role", tone === "bad" ? "alert" : "status");
    growth.replaceChildren(...parts);
  }
  async function compare(key) {
    try {
      tell("plain", element("p", await since(key)));
    } catch (error) {
      if (error instanceof TypeError) return; // no answer: the page says elsewhere that the gateway is away
      const last = seen();
      const words = "A record only grows; this one did not. Rely on nothing here, tell whoever looks after security, and keep the note below: the log signed it, and it proves what was there.";
      const forget = Object.assign(element("button", "Forget what this browser saw"), { type: "button", className: "small" });
      forget.addEventListener("click", () => {
        try { localStorage.removeItem(SEEN); } catch { /* nothing is kept */ }
        compare(key);
      });
      const parts = [element("h3", `This is not the record that this browser saw before: ${error.message}.`)];
      if (last) {
        const note = Object.assign(element("pre", last.note), { className: "code", tabIndex: 0 });
        note.setAttribute("aria-label", "The signed note that this browser keeps");
        parts.push(element("p", words), element("p", `Seen ${new Date(last.at).toLocaleString()}, signed by ${last.key}`), note, forget);
      }
      tell("bad", ...parts);
    }
  }
  function say(tone, ...lines) {
    result.className = `result ${tone}`;
    result.replaceChildren(...lines.map((words) => {
      const item = document.createElement("p");
      item.textContent = words;
      return item;
    }));
  }
  const kept = () => { try { return localStorage.getItem(KEPT); } catch { return null; } };
  function aboutKey(key) {
    if (kept() === null) return "This browser keeps no key yet. Compare the fingerprint with the one you were given, then keep it.";
    return "The key is the one that this browser keeps.";
  }
  async function run(indices) {
    say("wait", "Checking…");
    try {
      const key = await readKey(place.dataset.key);
      if (kept() !== null && kept() !== place.dataset.key) {
        fail("the gateway names another key than the one this browser keeps. Find out why before you believe anything here");
      }
      let last;
      for (const index of indices) last = await check(index, key);
      const what = indices.length === 1 ? `Entry ${last.index} is` : `${indices.length} entries are`;
      await compare(key);
      say("good", `${what} in the log, byte for byte, under a checkpoint over ${last.size} entries.`,
        `The checkpoint is signed by ${key.name}, key fingerprint ${key.fingerprint}.`, aboutKey(key));
    } catch (error) {
      const old = error.name === "NotSupportedError" ? "this browser cannot check Ed25519 signatures" : error.message;
      say("bad", `Not verified: ${old}.`);
    }
  }
  const all = () => [...document.querySelectorAll("[data-entry]")].map((one) => one.dataset.entry);

  place.hidden = false;
  if (!window.crypto?.subtle) {
    say("wait", "A browser checks signatures on pages with HTTPS, or at localhost, only. Use countersign-verify instead.");
    place.querySelectorAll("button").forEach((button) => { button.hidden = true; });
    return;
  }
  place.querySelector("[data-do=page]").addEventListener("click", () => run(all()));
  const keep = place.querySelector("[data-do=keep]");
  const name = () => { keep.textContent = kept() === null ? "Keep this key in this browser" : "Forget the key that this browser keeps"; };
  keep.addEventListener("click", () => {
    try {
      if (kept() === null) localStorage.setItem(KEPT, place.dataset.key);
      else localStorage.removeItem(KEPT);
    } catch { /* nothing is kept */ }
    name();
  });
  name();
  readKey(place.dataset.key).then(compare).catch(() => { /* a browser that cannot check says so when it is asked to */ });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-entry]");
    if (!button) return;
    run([button.dataset.entry]);
    place.scrollIntoView({ block: "nearest" });
  });
  document.querySelectorAll("button[data-entry]").forEach((button) => { button.hidden = false; });
})();
