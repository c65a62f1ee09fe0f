// Refreshes the page in place: fetches it again, and changes what has changed. So there is one way to write a number,
// nothing flickers, and what is selected, focused or scrolled to stays so.
(() => {
  "use strict";

  const PATIENCE = 10000;
  const main = document.querySelector("main");
  const notice = document.getElementById("connection");
  let failures = 0;
  let timer = 0;

  function merge(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(document.importNode(fresh, true));
    } else if (old.nodeType === Node.ELEMENT_NODE) {
      mergeAttributes(old, fresh);
      mergeChildren(old, fresh);
    } else if (old.data !== fresh.data) {
      old.data = fresh.data;
    }
  }

  function mergeAttributes(old, fresh) {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
  }

  function mergeChildren(old, fresh) {
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((node, n) => {
      if (n < before.length) merge(before[n], node);
      else old.append(document.importNode(node, true));
    });
    before.slice(after.length).forEach((node) => node.remove());
  }

  async function load() {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error("nginx answers " + answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!fresh.getElementById("connection")) throw new Error("something else answers");
    return fresh;
  }

  async function refresh() {
    try {
      const fresh = await load();
      mergeChildren(main, fresh.querySelector("main"));
      merge(document.querySelector("link[rel=icon]"), fresh.querySelector("link[rel=icon]"));
      if (document.title !== fresh.title) document.title = fresh.title;
      failures = 0;
      tell("");
    } catch (error) {
      failures += 1;
      // Once may be a coincidence.
      if (failures > 1) {
        const last = document.querySelector("#updated time").textContent;
        const why = error.message.startsWith("nginx") || error.message.startsWith("something") ? error.message : "nginx does not answer";
        tell(`This page cannot be refreshed: ${why}. What it shows is from ${last}.`);
      }
    }
    schedule();
  }

  function tell(text) {
    notice.hidden = text === "";
    if (notice.textContent !== text) notice.textContent = text;
    document.documentElement.classList.toggle("stale", text !== "");
  }

  function schedule() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, Number(document.body.dataset.refresh));
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  schedule();
})();
