// Pages work without this. It adds local times, and gentle refreshing (main[data-refresh]: seconds).
"use strict";
(() => {
  const main = document.getElementById("main");

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const local = new Date(time.dateTime);
      const utc = time.title.split("\n")[0];
      if (!Number.isNaN(local.valueOf())) time.title = `${utc}\n${local.toLocaleString()} local`;
    }
  }

  // Make `old` look like `fresh`, keeping nodes, so that focus, scroll position and selected text survive.
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
      old.replaceWith(fresh.cloneNode(true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.dataset.key !== fresh.dataset.key) {
      old.replaceWith(fresh.cloneNode(true));
      return;
    }
    const mine = (name) => name === "open" && old.nodeName === "DETAILS"; // the reader opened it
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !mine(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !mine(name)) old.setAttribute(name, value);
    }
    if (old === document.activeElement && old.nodeName === "INPUT") return;
    const before = [...old.childNodes], after = [...fresh.childNodes];
    after.forEach((node, i) => (before[i] ? morph(before[i], node) : old.append(node.cloneNode(true))));
    before.slice(after.length).forEach((node) => node.remove());
  }

  const live = document.getElementById("live");
  let paused = false;
  function says(word, pressed) {
    live.textContent = word;
    live.setAttribute("aria-pressed", String(pressed));
  }
  if (main.dataset.refresh) {
    live.hidden = false;
    live.addEventListener("click", () => {
      paused = !paused;
      says(paused ? "Paused" : "Live", !paused);
    });
  }
  const resting = () => paused || document.hidden;
  const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

  async function refresh() {
    for (;;) {
      await sleep(Number(main.dataset.refresh));
      if (resting()) continue;
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("main");
        if (resting() || !fresh) continue;
        morph(main, fresh);
        document.title = page.title;
        localTimes(main);
        says("Live", true);
        if (!main.dataset.refresh) return;
      } catch {
        says("Unreachable", false);
      }
    }
  }

  localTimes(document);
  if (main.dataset.refresh) refresh();
})();
