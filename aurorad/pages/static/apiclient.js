// Forms for all calls of the API, made from the JSON Schemas of their arguments. No library, no build.
"use strict";
(() => {
  const page = (id) => document.getElementById(id);
  let schemas = {}, calls = new Map(), current = null, root = null;

  function make(name, properties = {}, ...children) {
    const made = document.createElement(name);
    Object.assign(made, properties);
    made.append(...children);
    return made;
  }

  const resolved = (schema) => (schema.$ref ? schemas[schema.$ref.split("/").pop()] : schema);
  const named = (schema) => schema.$ref?.split("/").pop() ?? "";
  const isUnion = (schema) => schema.maxProperties === 1 && schema.minProperties === 1;

  // A field of a form: its element, and what it says. `read` gives undefined for what is not set.
  function field(schema, label) {
    const type = resolved(schema);
    if (type.enum) return choice(type.enum);
    if (type.type === "boolean") return choice(["true", "false"], (text) => text === "true");
    if (type.type === "integer" || type.type === "number") return text(type, label);
    if (type.type === "string") return text(type, label);
    if (type.type === "array") return list(type.items, label);
    if (isUnion(type)) return union(type);
    if (type.properties) return struct(type);
    return map(type.additionalProperties, label);
  }

  function choice(words, read = (text) => text) {
    const select = make("select", {}, new Option("not set", ""), ...words.map((word) => new Option(word, word)));
    return { element: select, read: () => (select.value === "" ? undefined : read(select.value)) };
  }

  function text(type, label) {
    const number = type.type !== "string";
    const long = type.type === "string" && /^(data|message|value)$/.test(label);
    const input = long ? make("textarea", { rows: 1 }) : make("input", { type: "text", inputMode: number ? "decimal" : "text" });
    input.spellcheck = false;
    const read = () => {
      if (input.value === "") return undefined;
      if (!number) return input.value;
      const value = Number(input.value), right = input.value.trim() !== "" && Number.isFinite(value) && (type.type === "number" || Number.isInteger(value));
      input.setCustomValidity(right ? "" : `${label}: ${type.type === "number" ? "a number" : "a whole number"} was expected`);
      return right ? (Number.isSafeInteger(value) || type.type === "number" ? value : JSON.rawJSON?.(input.value.trim()) ?? value) : input.value;
    };
    return { element: input, read };
  }

  function button(words, title, act) {
    const made = make("button", { type: "button", className: "plain small", textContent: words, title });
    made.addEventListener("click", () => { act(); changed(); });
    return made;
  }

  // One line: the name, and its field; structs below each other are opened one by one, for some hold others without end.
  function row(name, schema) {
    const type = resolved(schema), nested = type.type === "object" || type.type === "array";
    const line = make("div", { className: nested ? "field nested" : "field" });
    if (!nested) {
      const inner = field(schema, name);
      line.append(make("label", {}, make("span", { textContent: name }), inner.element));
      return { element: line, read: inner.read };
    }
    let inner = null;
    const head = make("div", { className: "name" }, make("span", { textContent: name }), make("small", { textContent: named(schema) || (type.type === "array" ? "list" : "") }));
    const toggle = button("Set", `Set ${name}`, () => {
      if (inner) { inner.element.remove(); inner = null; } else { inner = field(schema, name); line.append(inner.element); inner.opened?.(); }
      toggle.textContent = inner ? "Unset" : "Set";
    });
    head.append(toggle);
    line.append(head);
    return { element: line, read: () => inner?.read(), open: () => { if (!inner) toggle.click(); } };
  }

  function struct(type) {
    const rows = Object.entries(type.properties).map(([name, schema]) => [name, row(name, schema)]);
    const element = make("div", { className: "struct" }, ...rows.map(([, one]) => one.element));
    if (!rows.length) element.append(make("p", { className: "mute", textContent: "There is nothing to set." }));
    return {
      element,
      read: () => Object.fromEntries(rows.map(([name, one]) => [name, one.read()]).filter(([, value]) => value !== undefined)),
      rows,
    };
  }

  function union(type) {
    const select = make("select", { className: "member" }, ...Object.keys(type.properties).map((name) => new Option(name, name)));
    const place = make("div", { className: "struct" });
    let inner = null;
    const chosen = () => { inner = field(type.properties[select.value], select.value); place.replaceChildren(inner.element); };
    select.addEventListener("change", () => { chosen(); changed(); });
    chosen();
    const empty = () => { const of = resolved(type.properties[select.value]); return of.type === "object" ? {} : undefined; };
    return { element: make("div", { className: "struct" }, select, place), read: () => ({ [select.value]: inner.read() ?? empty() }) };
  }

  function list(items, label) {
    const fields = [], place = make("ol", { className: "items" });
    const add = () => {
      const inner = field(items, label), item = make("li", {}, inner.element);
      fields.push(inner);
      item.append(button("Remove", `Remove this one of ${label}`, () => { fields.splice(fields.indexOf(inner), 1); item.remove(); }));
      place.append(item);
    };
    const element = make("div", { className: "struct" }, place, button("Add", `Add one to ${label}`, add));
    return { element, read: () => fields.map((one) => one.read()).filter((value) => value !== undefined), opened: add };
  }

  function map(values, label) {
    const fields = [], place = make("ol", { className: "items" });
    const add = () => {
      const key = make("input", { type: "text", placeholder: "name" }), inner = field(values, label);
      const pair = { read: () => [key.value, inner.read()] }, item = make("li", { className: "pair" }, key, inner.element);
      fields.push(pair);
      item.append(button("Remove", "Remove this pair", () => { fields.splice(fields.indexOf(pair), 1); item.remove(); }));
      place.append(item);
    };
    const element = make("div", { className: "struct" }, place, button("Add", `Add one to ${label}`, add));
    return { element, read: () => Object.fromEntries(fields.map((one) => one.read()).filter(([, value]) => value !== undefined)), opened: add };
  }

  function changed() {
    if (!root) return;
    const words = JSON.stringify(root.read(), null, 2), request = page("request");
    request.value = words;
    request.rows = Math.min(24, Math.max(3, words.split("\n").length + 1));
    remember();
  }

  function remember() {
    history.replaceState(null, "", `?${new URLSearchParams({ call: current.method })}`);
  }

  function show(method) {
    current = calls.get(method);
    page("method").textContent = method;
    page("about").textContent = `${current.service}: ${current.reads ? "changes nothing" : "changes something: it is done when you send it"}.`;
    page("send").classList.toggle("danger", !current.reads);
    root = struct({ properties: current.arguments.properties });
    page("fields").replaceChildren(root.element);
    for (const [, one] of root.rows) one.open?.();
    page("answered").hidden = true;
    says("");
    changed();
    for (const link of page("calls").querySelectorAll("a")) link.toggleAttribute("aria-current", link.textContent === method);
  }

  function says(words, wrong = false) {
    page("says").textContent = words;
    page("says").classList.toggle("wrong", wrong);
  }

  // What is sent, on one line; the reader may have changed it.
  function request() {
    const text = page("request").value.trim() || "{}";
    JSON.parse(text);
    return text;
  }

  async function send(event) {
    event.preventDefault();
    let body;
    try {
      body = request();
    } catch (error) {
      says(`The request is not JSON: ${error.message}`, true);
      return;
    }
    says("Asking …");
    page("send").disabled = true;
    const began = performance.now(), asked = current.method;
    try {
      const answer = await fetch(`/apibeta/${asked}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const text = await answer.text();
      let words = text, code = `${answer.status} ${answer.statusText}`;
      try {
        const value = JSON.parse(text);
        words = JSON.stringify(value, null, 2);
        code = value.responseCode ?? code;
      } catch { /* no JSON: a sentence */ }
      page("status").textContent = code;
      page("status").className = `status ${code === "OK" ? "good" : "bad"}`;
      page("answer").textContent = words;
      page("answered").hidden = false;
      says(`${asked}: answered after ${Math.round(performance.now() - began)} ms.`);
    } catch (error) {
      says(`No answer: ${error.message}`, true);
    }
    page("send").disabled = false;
  }

  async function copy() {
    try {
      const quoted = JSON.stringify(JSON.parse(request())).replaceAll("'", "'\\''");
      const line = `curl -X POST ${location.origin}/apibeta/${current.method} -H 'Content-Type: application/json' -d '${quoted}'`;
      await navigator.clipboard.writeText(line);
      says("Copied.");
    } catch (error) {
      says(`Not copied: ${error.message}`, true);
    }
  }

  function list_calls(services) {
    const wanted = page("find").value.toLowerCase();
    page("calls").replaceChildren(...services.flatMap((service) => {
      const found = service.calls.filter((call) => call.method.toLowerCase().includes(wanted));
      if (!found.length) return [];
      const items = found.map((call) => {
        const link = make("a", { href: `?call=${call.method}`, textContent: call.method });
        link.toggleAttribute("aria-current", call.method === current?.method);
        link.addEventListener("click", (event) => { event.preventDefault(); show(call.method); });
        return make("li", {}, link);
      });
      return [make("h3", { textContent: service.name }), make("ul", { className: "links" }, ...items)];
    }));
  }

  async function start() {
    const described = await (await fetch("/apiclient/calls.json")).json();
    schemas = described.schemas;
    for (const service of described.services) for (const call of service.calls) calls.set(call.method, { ...call, service: service.name });
    list_calls(described.services);
    page("client").hidden = false;
    const given = new URLSearchParams(location.search).get("call");
    show(calls.has(given) ? given : "getJobSummary");
    page("find").addEventListener("input", () => list_calls(described.services));
    page("fields").addEventListener("input", changed);
    page("form").addEventListener("submit", send);
    page("copy").addEventListener("click", copy);
  }

  start();
})();
