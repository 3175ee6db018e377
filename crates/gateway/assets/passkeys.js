// Signing with passkeys, the console's one script of its own. It asks the gateway what is to be signed, has the browser
// ask the person, and puts the answer into the page's form, which then goes out as if its button had been pressed.
"use strict";
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const each = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  // What the gateway sends is the JSON of WebAuthn level 3; done by hand here, so that older browsers do too.
  const read = {
    create: (o) => ({ ...o, challenge: bytes(o.challenge), user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: each(o.excludeCredentials) }),
    get: (o) => ({ ...o, challenge: bytes(o.challenge), allowCredentials: each(o.allowCredentials) }),
  };
  const write = {
    create: (r) => ({ attestationObject: text(r.attestationObject), transports: r.getTransports ? r.getTransports() : [] }),
    get: (r) => ({ authenticatorData: text(r.authenticatorData), signature: text(r.signature), userHandle: r.userHandle ? text(r.userHandle) : null }),
  };
  const json = (c, mode) => ({
    id: c.id, rawId: text(c.rawId), type: c.type, extensions: {},
    response: { clientDataJSON: text(c.response.clientDataJSON), ...write[mode](c.response) },
  });

  const failures = {
    NotAllowedError: "Nothing was sent: it was cancelled, took too long, or no passkey of yours is at hand.",
    AbortError: "Nothing was sent: it was cancelled.",
    InvalidStateError: "This passkey is enrolled already.",
    NotSupportedError: "This device cannot make the kind of passkey that is needed.",
    SecurityError: "The browser does not allow passkeys at this address.",
  };

  async function options(form, submitter) {
    const fields = new URLSearchParams(new FormData(form));
    if (submitter.name) fields.set(submitter.name, submitter.value);
    const answer = await fetch(form.dataset.challenge, { method: "POST", body: fields });
    const isJson = (answer.headers.get("content-type") || "").startsWith("application/json");
    if (!isJson) throw new Error("Nothing was sent: your session has ended. Load this page again.");
    const body = await answer.json();
    if (!answer.ok) throw new Error(`${body.message}. ${body.advice}`);
    return body.publicKey;
  }

  async function sign(form, submitter, say) {
    const mode = submitter.dataset.passkey;
    if (location.origin !== form.dataset.origin) throw new Error(`Passkeys work at ${form.dataset.origin} only. Open this page there.`);
    if (!window.PublicKeyCredential) throw new Error("This browser has no passkeys.");
    say("Asking the gateway what to sign…");
    const publicKey = read[mode](await options(form, submitter));
    say("Your browser asks you now.");
    const credential = await navigator.credentials[mode]({ publicKey });
    form.elements.credential.value = JSON.stringify(json(credential, mode));
    say("Signed. Sending…");
  }

  let busy = false;
  document.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    if (!submitter || !submitter.dataset.passkey || form.elements.credential.value) return;
    event.preventDefault();
    if (busy) return;
    busy = true;
    const status = form.querySelector("[role=status]");
    const say = (words) => { status.textContent = words; };
    try {
      await sign(form, submitter, say);
      form.requestSubmit(submitter);
    } catch (error) {
      say(failures[error.name] || error.message);
    } finally {
      busy = false;
    }
  });
  // A page that came back from the browser's memory holds no signature, and a dialog is not interrupted by an update.
  window.addEventListener("pageshow", () => document.querySelectorAll("input[name=credential]").forEach((field) => { field.value = ""; }));
  document.addEventListener("htmx:beforeRequest", (event) => { if (busy) event.preventDefault(); });
})();
