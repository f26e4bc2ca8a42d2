// Draws expressions over statistics: a parser, an evaluation by sample, and lines of SVG. No library, no build.
"use strict";
(() => {
  const COLOURS = ["#2f7de1", "#d9742b", "#2e9e63", "#b44bc8", "#c9413f", "#0e9aa7", "#9a7b0a", "#6f6bd8"];
  const SVG = "http://www.w3.org/2000/svg";
  const USUAL = ["outstanding_offers", "task_store_PENDING", "task_store_RUNNING", "rate(http_200_responses_events)"];
  const POLL_MS = 2000;
  const page = (id) => document.getElementById(id);

  // Expressions: numbers, names, + - * /, parentheses, rate(...). A name may have dots, slashes and dashes in it where
  // there is a statistic of that name; the longest one that fits is meant.
  function parse(text, known) {
    let at = 0;
    const fail = (what) => { throw new Error(`“${text}”: ${what} at ${at + 1}`); };
    const skip = () => { while (/\s/.test(text[at] ?? "")) at++; };
    const take = (sign) => { skip(); if (text[at] !== sign) return false; at++; return true; };
    function name() {
      const whole = /^[A-Za-z_][\w./-]*/.exec(text.slice(at))?.[0];
      if (!whole) return null;
      for (let end = whole.length; end > 0; end--) if (known.has(whole.slice(0, end))) { at += end; return whole.slice(0, end); }
      return null;
    }
    function factor() {
      skip();
      if (take("-")) { const of = factor(); return { op: "-", left: { value: 0 }, right: of }; }
      if (take("(")) { const inner = sum(); if (!take(")")) fail("“)” was expected"); return inner; }
      const number = /^(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?/.exec(text.slice(at));
      if (number) { at += number[0].length; return { value: Number(number[0]) }; }
      const call = /^rate\s*\(/.exec(text.slice(at));
      if (call) {
        at += call[0].length;
        const of = sum();
        if (!take(")")) fail("“)” was expected");
        return { op: "rate", of };
      }
      const found = name();
      return found ? { name: found } : fail("no statistic of that name,");
    }
    function chain(next, signs) {
      let left = next();
      for (;;) {
        const sign = signs.find((one) => take(one));
        if (!sign) return left;
        left = { op: sign, left, right: next() };
      }
    }
    const product = () => chain(factor, ["*", "/"]);
    const sum = () => chain(product, ["+", "-"]);
    const tree = sum();
    skip();
    if (at < text.length) fail("the end was expected");
    return tree;
  }

  const names = (tree) => tree.name ? [tree.name]
    : tree.op === "rate" ? names(tree.of) : tree.op ? [...names(tree.left), ...names(tree.right)] : [];

  // The values of a tree at all samples; null where there is none.
  function evaluate(tree, columns, times) {
    if ("value" in tree) return times.map(() => tree.value);
    if (tree.name) return columns.get(tree.name);
    if (tree.op === "rate") {
      const of = evaluate(tree.of, columns, times);
      return times.map((time, i) => {
        if (i === 0 || of[i] === null || of[i - 1] === null || time === times[i - 1]) return null;
        if (of[i] < of[i - 1]) return null; // counted anew, after a restart
        return (of[i] - of[i - 1]) / ((time - times[i - 1]) / 1000);
      });
    }
    const left = evaluate(tree.left, columns, times), right = evaluate(tree.right, columns, times);
    const apply = { "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => (b === 0 ? null : a / b) };
    return times.map((_, i) => (left[i] === null || right[i] === null ? null : apply[tree.op](left[i], right[i])));
  }

  function split(text) {
    const parts = [];
    let depth = 0, part = "";
    for (const sign of text) {
      depth += sign === "(" ? 1 : sign === ")" ? -1 : 0;
      if (sign === "," && depth === 0) { parts.push(part); part = ""; } else part += sign;
    }
    return [...parts, part].map((one) => one.trim()).filter(Boolean);
  }

  // Round steps on an axis, such as 0, 20, 40.
  function ticks(low, high, count) {
    const raw = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((by) => by * power).find((one) => one >= raw);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
    return found;
  }

  function spelled(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    for (const [least, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
      if (size >= least) return `${+(value / (letter === "k" ? 1e3 : least)).toPrecision(4)}${letter}`;
    }
    return String(+value.toPrecision(size < 1 ? 3 : 5));
  }

  function element(name, attributes, words) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (words !== undefined) made.textContent = words;
    return made;
  }

  const chart = page("chart");
  let shown = { times: [], lines: [] };

  function draw() {
    const { times, lines } = shown;
    const width = chart.clientWidth || 900, height = chart.clientHeight || 320;
    const left = 58, right = 12, top = 10, bottom = 26;
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.replaceChildren();
    const values = lines.flatMap((line) => line.values.filter((value) => value !== null));
    if (times.length < 2 || values.length === 0) {
      chart.append(element("text", { x: width / 2, y: height / 2, class: "axis", "text-anchor": "middle" }, "Waiting for samples"));
      return;
    }
    let low = Math.min(0, ...extremes(values)), high = Math.max(...extremes(values));
    if (high - low < 1e-9) high = low + 1;
    high += (high - low) * 0.05;
    const from = times[0], to = times[times.length - 1];
    const x = (time) => left + ((time - from) / (to - from)) * (width - left - right);
    const y = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);
    for (const tick of ticks(low, high, 5)) {
      chart.append(element("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "grid" }));
      chart.append(element("text", { x: left - 8, y: y(tick) + 4, class: "axis", "text-anchor": "end" }, spelled(tick)));
    }
    const seconds = (to - from) / 1000;
    for (let i = 0; i <= 5; i++) {
      const time = from + ((to - from) * i) / 5;
      const words = new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(seconds < 600 && { second: "2-digit" }) });
      const anchor = i === 0 ? "start" : i === 5 ? "end" : "middle";
      chart.append(element("text", { x: x(time), y: height - 7, class: "axis", "text-anchor": anchor }, words));
    }
    for (const line of lines) {
      let path = "", pen = "M";
      line.values.forEach((value, i) => {
        if (value === null) { pen = "M"; return; }
        path += `${pen}${x(times[i]).toFixed(1)},${y(value).toFixed(1)}`;
        pen = "L";
      });
      chart.append(element("path", { d: path, class: "series", stroke: line.colour, "data-line": line.text }));
    }
    chart.append(element("line", { id: "cursor", y1: top, y2: height - bottom, class: "cursor", visibility: "hidden" }));
    chart.dataset.frame = JSON.stringify({ left, span: width - left - right, from, to });
  }

  function extremes(values) {
    let low = Infinity, high = -Infinity;
    for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
    return [low, high];
  }

  // The legend shows the values under the pointer, else the last ones.
  function legend(index) {
    const rows = shown.lines.map((line) => {
      const row = document.createElement("tr"), there = line.values.filter((value) => value !== null);
      const [low, high] = there.length ? extremes(there) : [null, null];
      const mean = there.length ? there.reduce((sum, value) => sum + value, 0) / there.length : null;
      const now = index === undefined ? there[there.length - 1] : line.values[index];
      const name = document.createElement("td"), dot = document.createElement("span"), words = document.createElement("span");
      dot.className = "dot";
      dot.style.setProperty("background", line.colour);
      words.className = "id";
      words.textContent = line.text;
      name.append(dot, words);
      row.append(name, ...[now, low, high, mean].map((value) => {
        const cell = document.createElement("td");
        cell.className = "num";
        cell.textContent = spelled(value);
        return cell;
      }));
      return row;
    });
    page("legend").replaceChildren(...rows);
  }

  chart.addEventListener("pointermove", (event) => {
    const frame = chart.dataset.frame && JSON.parse(chart.dataset.frame), cursor = page("cursor");
    if (!frame || !cursor || !shown.times.length) return;
    const part = (event.clientX - chart.getBoundingClientRect().left - frame.left) / frame.span;
    const time = frame.from + Math.min(1, Math.max(0, part)) * (frame.to - frame.from);
    let index = 0;
    shown.times.forEach((one, i) => { if (Math.abs(one - time) < Math.abs(shown.times[index] - time)) index = i; });
    const x = frame.left + ((shown.times[index] - frame.from) / (frame.to - frame.from)) * frame.span;
    for (const side of ["x1", "x2"]) cursor.setAttribute(side, x);
    cursor.setAttribute("visibility", "visible");
    says(new Date(shown.times[index]).toLocaleTimeString());
    legend(index);
  });
  chart.addEventListener("pointerleave", () => { page("cursor")?.setAttribute("visibility", "hidden"); says(""); legend(); });

  function says(words, wrong = false) {
    page("says").textContent = words;
    page("says").classList.toggle("wrong", wrong);
  }

  async function asked(path) {
    const answer = await fetch(path);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error ?? answer.statusText);
    return body;
  }

  const form = page("query"), known = new Set();
  let trees = [], rows = [], generation = 0;

  async function poll(mine) {
    const wanted = [...new Set(trees.flatMap(({ tree }) => names(tree)))];
    rows = [];
    while (mine === generation) {
      try {
        const oldest = Date.now() - Number(form.elements.range.value) * 1000;
        const since = rows.length ? rows[rows.length - 1][0] : Math.max(0, oldest);
        const got = await asked(`/graphdata?metrics=${encodeURIComponent(wanted.join(","))}&since=${since}`);
        if (mine !== generation) return;
        rows = [...rows, ...got.data].filter((row) => row[0] > oldest);
        const times = rows.map((row) => row[0]);
        const columns = new Map(got.names.slice(1).map((name, i) => [name, rows.map((row) => row[i + 1])]));
        shown = { times, lines: trees.map((one) => ({ ...one, values: evaluate(one.tree, columns, times) })) };
        draw();
        legend();
        if (page("says").classList.contains("wrong")) says("");
      } catch (error) {
        says(error.message, true);
      }
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  }

  function begin() {
    generation++;
    const text = form.elements.query.value;
    try {
      trees = split(text).map((part, i) => ({ text: part, tree: parse(part, known), colour: COLOURS[i % COLOURS.length] }));
    } catch (error) {
      says(error.message, true);
      return;
    }
    says("");
    history.replaceState(null, "", `?${new URLSearchParams({ query: text, range: form.elements.range.value })}`);
    if (trees.length) poll(generation);
  }

  function list() {
    const wanted = page("find").value.toLowerCase();
    page("list").replaceChildren(...[...known].filter((name) => name.toLowerCase().includes(wanted)).map((name) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.className = "link id";
      button.textContent = name;
      button.addEventListener("click", () => {
        const before = form.elements.query.value.trim();
        form.elements.query.value = before ? `${before}, ${name}` : name;
        begin();
        page("graph").scrollIntoView({ block: "start" });
      });
      item.append(button);
      return item;
    }));
  }

  async function start() {
    for (const name of await asked("/graphdata")) known.add(name);
    page("names").replaceChildren(...[...known].map((name) => new Option(name)));
    const given = new URLSearchParams(location.search);
    form.elements.query.value = given.get("query") ?? USUAL.filter((one) => known.has(one.replace(/^rate\((.*)\)$/, "$1"))).join(", ");
    if ([...form.elements.range.options].some((option) => option.value === given.get("range"))) form.elements.range.value = given.get("range");
    page("graph").hidden = false;
    list();
    begin();
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); begin(); });
  form.elements.range.addEventListener("change", begin);
  page("find").addEventListener("input", list);
  addEventListener("resize", draw);
  start();
})();
