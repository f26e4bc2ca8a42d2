// Log pages work without this. It follows a file as it grows: <pre data-stream="server-sent events" data-from="position">,
// and shows what was before when the reader comes to its top: data-chunks (JSON), data-offset (of the first byte shown).
"use strict";
(() => {
  const pre = document.getElementById("text");
  const said = document.getElementById("said"), live = document.getElementById("live");
  const wrap = document.getElementById("wrap"), down = document.getElementById("down");
  const MOST_LINES = 10_000, MOST_CHARACTERS = 8_000_000, BLOCK_LINES = 200, LONG_LINE = 100_000, EARLIER_BYTES = 65_536;

  // Text stands in blocks, so that the browser lays out only what is new, and drops what is old at little cost.
  const sizes = new Map(); // block -> its lines and characters
  let lines = 0, characters = 0;
  const count = (text) => text.split("\n").length - 1;
  function counted(block, text) {
    const size = sizes.get(block) ?? { lines: 0, characters: 0 };
    const more = count(text);
    sizes.set(block, { lines: size.lines + more, characters: size.characters + text.length });
    lines += more;
    characters += text.length;
  }
  function newBlock(text) {
    const block = document.createElement("div");
    block.append(text);
    counted(block, text);
    return block;
  }
  function drop(block) {
    const size = sizes.get(block);
    if (size) { lines -= size.lines; characters -= size.characters; }
    sizes.delete(block);
    block.remove();
  }
  document.getElementById("end")?.remove(); // is for readers without this
  for (const block of pre.children) counted(block, block.textContent);

  function append(text) {
    const last = pre.lastElementChild;
    const node = last && last.className === "" ? last.lastChild : null;
    if (node && !node.data.endsWith("\n") && node.length < LONG_LINE) {
      const end = text.indexOf("\n") + 1 || text.length;
      node.appendData(text.slice(0, end));
      counted(last, text.slice(0, end));
      text = text.slice(end);
    }
    if (!text) return;
    if (node && sizes.get(last).lines < BLOCK_LINES && node.length < LONG_LINE) {
      node.appendData(text);
      counted(last, text);
    } else {
      pre.append(newBlock(text));
    }
  }
  function mark(words) {
    const line = document.createElement("div");
    line.className = "mark";
    line.textContent = words;
    pre.append(line);
  }

  // The end is followed until the reader scrolls up, and again once it is in sight.
  const atEnd = () => pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 24;
  let following = true, top = 0;
  function toEnd() {
    pre.scrollTo(0, pre.scrollHeight);
    top = pre.scrollTop;
  }
  let wholeFile = true; // what is shown begins at data-offset of the file

  let source = null, position = pre.dataset.from, paused = false, full = false, ended = !pre.dataset.stream;
  let waiting = []; // events that are not on the page yet
  let drawing = false;

  function says(word, pressed) {
    live.textContent = word;
    live.setAttribute("aria-pressed", String(pressed));
  }
  function draw() {
    drawing = false;
    const texts = [];
    for (const event of waiting) {
      if (event.type === "message") texts.push(event.text);
      else {
        append(texts.splice(0).join(""));
        mark(event.text);
      }
    }
    waiting = [];
    append(texts.join(""));
    document.getElementById("range")?.remove(); // it tells of the page as it was sent
    if (following) {
      while (pre.children.length > 1 && (lines > MOST_LINES || characters > MOST_CHARACTERS)) {
        drop(pre.firstElementChild);
        wholeFile = false;
      }
      toEnd();
    } else if (lines > 2 * MOST_LINES || characters > 2 * MOST_CHARACTERS) {
      full = true; // it is being read: nothing is dropped, so nothing can come
      close();
      said.textContent = "waiting: go to the end to follow on";
    }
  }
  function came(event, text) {
    position = event.lastEventId;
    waiting.push({ type: event.type, text });
    if (!drawing) {
      drawing = true;
      requestAnimationFrame(draw);
    }
  }
  const NEWS = {
    cut: "— the file was cut: it begins anew —",
    rotated: "— the log was rotated: a new file begins —",
    skipped: "— too much was written: some was left out here —",
  };
  function open() {
    if (source || paused || full || ended || document.hidden) return;
    source = new EventSource(`${pre.dataset.stream}?from=${encodeURIComponent(position)}`);
    source.onopen = () => says("Live", true);
    source.onmessage = (event) => came(event, JSON.parse(event.data));
    for (const [kind, words] of Object.entries(NEWS)) {
      source.addEventListener(kind, (event) => {
        wholeFile = false;
        came(event, words);
      });
    }
    source.addEventListener("end", () => {
      ended = true;
      close();
      says("Ended", false);
    });
    source.onerror = () => {
      says("Unreachable", false);
      if (source?.readyState === EventSource.CLOSED) { // refused, which no browser tries again
        close();
        setTimeout(open, 3000);
      }
    };
  }
  function close() {
    source?.close();
    source = null;
  }
  function pause() {
    if (ended) return;
    paused = !paused;
    if (paused) close();
    else open();
    says(paused ? "Paused" : "Live", !paused);
  }

  // What was before, when the reader comes to the top.
  let fetching = false;
  async function earlier() {
    const first = Number(pre.dataset.offset);
    if (fetching || first === 0 || !wholeFile) return;
    fetching = true;
    said.textContent = "loading what was before";
    try {
      const from = Math.max(0, first - EARLIER_BYTES);
      const answer = await fetch(`${pre.dataset.chunks}?offset=${from}&length=${first - from}`);
      const chunk = await answer.json();
      if (chunk.offset !== from || from + chunk.length !== first) throw new Error("it is not there any more");
      let text = chunk.data.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&"), start = from;
      const broken = text.slice(0, text.indexOf("\n") + 1);
      if (from > 0 && !broken.includes("\ufffd")) { // begin with a whole line, if that can be told in bytes
        start += new TextEncoder().encode(broken).length;
        text = text.slice(broken.length);
      }
      const before = pre.scrollHeight;
      pre.prepend(newBlock(text));
      pre.scrollTop += pre.scrollHeight - before;
      pre.dataset.offset = String(start);
      said.textContent = from ? "" : "at the beginning of the file";
      document.getElementById("range")?.remove();
    } catch {
      said.textContent = "could not load what was before";
      wholeFile = false;
    }
    fetching = false;
  }

  function follow(yes) {
    following = yes;
    down.hidden = yes;
    if (!yes || !full) return;
    full = false;
    said.textContent = "";
    open();
  }
  function followOn() {
    follow(true);
    toEnd();
  }
  pre.addEventListener("scroll", () => {
    if (pre.scrollTop < top - 1) follow(false);
    if (atEnd()) follow(true);
    top = pre.scrollTop;
    if (pre.scrollTop === 0) earlier();
  }, { passive: true });
  pre.addEventListener("keydown", (event) => {
    if (event.key === "Home" && pre.scrollTop === 0) earlier();
    if (event.key === "End") { // at once: what is the end now may not be it when a gentle scroll arrives
      event.preventDefault();
      followOn();
    }
  });
  down.addEventListener("click", followOn);
  wrap.hidden = false;
  wrap.addEventListener("click", () => {
    const wrapped = !pre.classList.toggle("unwrapped");
    wrap.setAttribute("aria-pressed", String(wrapped));
    if (following) toEnd();
  });
  if (!ended) {
    live.hidden = false;
    live.title = "Pause or resume following this log (p)";
    live.addEventListener("click", pause);
    document.addEventListener("keydown", (event) => {
      if (event.key === "p" && !event.ctrlKey && !event.metaKey && !event.altKey && event.target.nodeName !== "INPUT") pause();
    });
    // A hidden page holds no connection: browsers have but six for all pages of a host.
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    addEventListener("pagehide", close);
    open();
  }
  toEnd();
})();
