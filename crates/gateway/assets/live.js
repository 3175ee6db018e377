// One stream of changes for all tabs of a browser: over HTTP/1.1 a browser opens six connections to a gateway, and six tabs with a
// stream each would keep a seventh from loading. The tab that holds the lock has the stream and tells the others; when it goes,
// the next one opens a stream. Where a browser has no locks (pages without HTTPS), each tab has a stream of its own.
"use strict";
(() => {
  if (!window.BroadcastChannel || !navigator.locks) return;
  const NAMES = ["hello", "review", "action"];
  const { CONNECTING, OPEN, CLOSED } = EventSource;

  // What htmx's extension uses of an EventSource.
  class Shared extends EventTarget {
    constructor(url) {
      super();
      this.readyState = CONNECTING;
      this.gone = new AbortController();
      this.channel = new BroadcastChannel(`countersign ${url}`);
      this.channel.onmessage = ({ data }) => this.hear(data);
      navigator.locks.request(`countersign ${url}`, { signal: this.gone.signal }, () => this.lead(url)).catch(() => {});
      this.channel.postMessage("new");
    }

    // Holds the lock, and the stream, until this tab goes.
    lead(url) {
      this.source = new EventSource(url);
      this.source.onopen = () => this.tell("open");
      this.source.onerror = () => this.tell(this.source.readyState === CLOSED ? "closed" : "lost");
      for (const name of NAMES) this.source.addEventListener(name, () => this.tell(name));
      return new Promise((release) => { this.release = release; });
    }

    tell(what) {
      this.channel.postMessage(what);
      this.hear(what);
    }

    hear(what) {
      if (what === "new") {
        if (this.source?.readyState === OPEN) this.channel.postMessage("welcome");
      } else if (what === "open" || (what === "welcome" && this.readyState === CONNECTING)) {
        this.readyState = OPEN;
        this.onopen?.(new Event("open"));
        if (what === "welcome") this.dispatchEvent(new MessageEvent("hello"));
      } else if (what === "lost" || what === "closed") {
        this.readyState = what === "lost" ? CONNECTING : CLOSED;
        if (what === "closed") this.close(); // the extension makes another one
        this.onerror?.(new Event("error"));
      } else if (NAMES.includes(what)) {
        this.dispatchEvent(new MessageEvent(what));
      }
    }

    close() {
      this.readyState = CLOSED;
      this.gone.abort();
      this.source?.close();
      this.release?.();
      this.channel.close();
    }
  }
  htmx.createEventSource = (url) => new Shared(url);
})();
