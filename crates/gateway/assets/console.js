// What the console's pages do in the browser beyond htmx: say whether they are live, follow single keys, and tell of what came in.
// Every page works without it. No key decides anything: `a` and `r` only move the focus to the button.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const kept = {
    get: (name) => { try { return localStorage.getItem(`countersign.${name}`); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem(`countersign.${name}`, value); } catch { /* kept for this page only */ } },
  };

  // ---- whether the page is live ----

  let isAway = false;
  function connected(yes) {
    const live = at("live");
    if (live) {
      live.querySelector(".words").textContent = yes ? "updates by itself" : "not connected";
      live.classList.toggle("on", yes);
    }
    if (yes) away(false);
  }
  function away(yes) {
    if (isAway === yes) return;
    isAway = yes;
    const banner = at("away");
    if (banner) banner.hidden = !yes;
    document.documentElement.classList.toggle("is-away", yes);
  }
  document.addEventListener("htmx:sseOpen", () => connected(true));
  // A stream ends with the gateway or with the session; a request tells which.
  document.addEventListener("htmx:sseError", async () => {
    connected(false);
    const status = await fetch("/settings", { method: "HEAD" }).then((answer) => answer.status, () => 0);
    if (status === 0) away(true);
    else if (status === 401) ended();
  });
  document.addEventListener("htmx:responseError", (event) => { if (event.detail.xhr.status === 401) ended(); });
  function ended() {
    connected(false);
    away(false);
    const banner = at("ended");
    if (banner) banner.hidden = false;
  }
  document.addEventListener("htmx:sendError", () => away(true));
  document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) away(false); });
  window.addEventListener("offline", () => away(true));

  // Empty fields of a filter say nothing; the address is shorter without them.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.target.matches("form.filters")) return;
    const parameters = event.detail.parameters;
    for (const [name, value] of [...Object.entries(parameters)]) {
      if (value === "" || (name === "show" && value === "both")) delete parameters[name];
    }
  });

  // ---- what came in: the title, and a notification where somebody asked for one ----

  let known = null;
  function count() {
    const status = document.querySelector("[data-waiting]");
    if (!status) return;
    const waiting = Number(status.dataset.waiting);
    document.title = document.title.replace(/^(\(\d+\) )?/, waiting > 0 ? `(${waiting}) ` : "");
    const rows = [...document.querySelectorAll("#inbox li.decides h3 a")];
    const now = new Set(rows.map((row) => row.id));
    const fresh = known && "whole" in status.dataset ? rows.filter((row) => !known.has(row.id)) : [];
    known = known && "whole" in status.dataset ? new Set([...known, ...now]) : now;
    if (fresh.length > 0) tell(fresh);
  }
  const wanted = () => kept.get("notify") === "yes" && window.Notification && Notification.permission === "granted";
  // It says who wants what, as the row does, and never the statement: notifications are seen over people's shoulders.
  function tell(rows) {
    if (!wanted() || (document.visibilityState === "visible" && document.hasFocus())) return;
    const words = rows.length === 1 ? rows[0].textContent.trim() : `${rows.length} reviews wait for you`;
    const address = rows.length === 1 ? rows[0].href : "/";
    const note = new Notification("Countersign", { body: words, tag: "countersign", icon: document.querySelector("link[rel=icon]").href });
    note.onclick = () => { window.focus(); location.assign(address); note.close(); };
  }
  function offer() {
    const button = at("notify");
    if (!button || !window.Notification) return;
    const show = () => {
      button.classList.toggle("unready", Notification.permission === "denied");
      button.textContent = wanted() ? "Stop notifications" : "Notify me";
      button.setAttribute("aria-pressed", String(wanted()));
    };
    button.addEventListener("click", async () => {
      if (wanted()) kept.set("notify", "no");
      else if (await Notification.requestPermission() === "granted") kept.set("notify", "yes");
      show();
    });
    show();
  }
  document.addEventListener("htmx:afterSettle", count);

  // ---- searches that somebody keeps in this browser: a name and an address each ----

  const SAVED_MAX = 20;
  function saved() {
    try { return JSON.parse(kept.get(`saved.${location.pathname}`)) || []; } catch { return []; }
  }
  function showSaved() {
    const place = document.querySelector(".saved");
    if (!place) return;
    const list = place.querySelector("ul");
    const chips = saved().map(({ name, query }) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = location.pathname + query;
      link.textContent = name;
      if (query === location.search) link.setAttribute("aria-current", "true");
      const drop = document.createElement("button");
      drop.type = "button";
      drop.className = "quiet";
      drop.textContent = "×";
      drop.setAttribute("aria-label", `Forget the search ${name}`);
      drop.addEventListener("click", () => keep(saved().filter((one) => one.name !== name)));
      item.append(link, drop);
      return item;
    });
    list.replaceChildren(...chips);
    list.hidden = chips.length === 0;
    const asks = new URLSearchParams(location.search);
    const isNew = [...asks].length > 0 && !saved().some(({ query }) => query === location.search);
    place.querySelector("form").hidden = !isNew;
    place.hidden = chips.length === 0 && !isNew;
  }
  function keep(list) {
    kept.set(`saved.${location.pathname}`, JSON.stringify(list.slice(-SAVED_MAX)));
    showSaved();
  }
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".save")) return;
    event.preventDefault();
    const field = event.target.querySelector("input");
    const name = field.value.trim();
    if (name) keep([...saved().filter((one) => one.name !== name), { name, query: location.search }]);
    field.value = "";
  });
  document.addEventListener("htmx:replacedInHistory", showSaved);

  // ---- single keys ----

  const keysOn = () => kept.get("keys") !== "off";
  const rows = () => [...document.querySelectorAll(".queue h2 a, .queue h3 a")];
  function step(by) {
    const all = rows();
    if (all.length === 0) return;
    const here = all.indexOf(document.activeElement);
    const next = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(here + by, 0), all.length - 1)];
    next.focus();
    next.closest("li").scrollIntoView({ block: "nearest" });
  }
  function choose(verdict) {
    const button = document.querySelector(`form.vote button[value=${verdict}]`);
    if (button) {
      button.focus();
      button.scrollIntoView({ block: "center" });
    } else if (rows().includes(document.activeElement)) {
      location.assign(`${document.activeElement.href}#${verdict}`);
    }
  }
  const keys = {
    j: () => step(1),
    k: () => step(-1),
    a: () => choose("approve"),
    r: () => choose("reject"),
    i: () => location.assign("/"),
    "/": () => { const field = at("q"); if (field) { field.focus(); field.select(); } },
    "?": () => help(),
  };
  function help() {
    const dialog = at("help");
    if (dialog && !dialog.open) dialog.showModal();
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !keysOn()) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable]")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // ---- at the start (scripts are deferred: the page is there) ----

  const button = at("help-button");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", help);
  }
  for (const box of document.querySelectorAll("#keys-on, [data-setting=keys]")) {
    box.checked = keysOn();
    box.addEventListener("change", () => {
      kept.set("keys", box.checked ? "on" : "off");
      document.querySelectorAll("#keys-on, [data-setting=keys]").forEach((other) => { other.checked = box.checked; });
    });
  }
  const notify = document.querySelector("[data-setting=notify]");
  if (notify) {
    notify.checked = Boolean(wanted());
    notify.disabled = !window.Notification || Notification.permission === "denied";
    notify.addEventListener("change", async () => {
      const granted = notify.checked && await Notification.requestPermission() === "granted";
      kept.set("notify", granted ? "yes" : "no");
      notify.checked = granted;
    });
  }
  if (location.hash === "#approve" || location.hash === "#reject") choose(location.hash.slice(1));
  offer();
  showSaved();
  count();
})();
