// The candidate browser, and legends that point at their curve. Everything that a model or a data
// set wrote becomes a text node: nothing here makes markup of a string.
//
//   held items (gzip in the page)  --find(filters, start)--> one page of items --> rows
//   a server (`lilliput view`)     --find, whole-----------> the same
"use strict";

const PAGE = 20, CANDIDATES = 16, LONG = 20000;
const setup = JSON.parse(document.getElementById("setup").textContent);
const filters = {outcome: "", member: "", decoding: "", category: "", run: "", text: "", split: false, failed: false};

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node[name] = value;
  }
  node.append(...children.filter(child => child !== null));
  return node;
}

// ---- Sources: `find` gives {items, next, seen}, `whole` an item with its candidates.

async function held() {
  const items = [];
  const blocks = document.querySelectorAll("script.packed");
  for (const [run, block] of blocks.entries()) {
    const bytes = Uint8Array.from(atob(block.textContent), letter => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const text = await new Response(plain).text();
    for (const line of text.split("\n")) if (line) items.push({run: setup.runs[run], ...JSON.parse(line)});
    block.remove();
  }
  return {
    async find(start) {
      const found = [], wanted = filters.text.toLowerCase();
      let at = Number(start || 0);
      const first = at;
      for (; at < items.length; at++) {
        if (!matches(items[at], wanted)) continue;
        if (found.length === PAGE) return {items: found, next: String(at), seen: at - first};
        found.push(items[at]);
      }
      return {items: found, next: null, seen: at - first};
    },
    async whole(item) { return item; },
  };
}

function served() {
  const get = async (name, asked) => {
    const answer = await fetch(name + "?" + new URLSearchParams(asked));
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  };
  return {
    async find(start) {
      const {split, failed, run, ...words} = filters;
      return get("items", {...words, split: +split, failed: +failed, start, limit: PAGE});
    },
    async whole(item) { return get("item", {at: item.at}); },
  };
}

function matches(item, wanted) {
  if (filters.run && item.run !== filters.run) return false;
  if (filters.category && item.category !== filters.category) return false;
  if (filters.split && !item.split) return false;
  if (filters.failed && item.outcome === "ok") return false;
  if (narrowed() && !item.candidates.some(isWanted)) return false;
  return !wanted || texts(item).some(text => text.toLowerCase().includes(wanted));
}

function* all(item) {
  yield item.id; yield item.reference;
  for (const message of item.messages) yield message.content;
  for (const one of item.candidates) { yield one.text || ""; yield one.answer || ""; }
}
const texts = item => [...all(item)];
const narrowed = () => filters.outcome || filters.member || filters.decoding;
const isWanted = one => ["outcome", "member", "decoding"].every(name => !filters[name] || one[name] === filters[name]);

// ---- Text as it was drawn.

// Control characters but tab and newline, invisible ones, and those that turn the writing around.
const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function shown(text) {
  const box = document.createDocumentFragment();
  let from = 0;
  for (const found of text.matchAll(ODD)) {
    const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    box.append(text.slice(from, found.index), make("span", {class: "token", title: "a character that can't be seen"}, "U+" + code));
    from = found.index + 1;
  }
  box.append(text.slice(from));
  return box;
}

function block(text) {
  const pre = make("pre", {dir: "auto"}, shown(text.slice(0, LONG)));
  if (text.length <= LONG) return pre;
  const more = make("button", {type: "button", class: "more", onclick: () => { pre.replaceChildren(shown(text)); more.remove(); }},
    `Show all ${text.length.toLocaleString("en")} characters`);
  return make("div", {}, pre, more);
}

const said = (text, length = 80) => make("bdi", {}, shown(text.length > length ? text.slice(0, length) + "…" : text));
const number = value => typeof value === "number" ? String(Math.round(value * 1e4) / 1e4) : value === null ? "no verdict" : value;
const words = name => name.replaceAll("_", " ");
const pooled = one => one.decoding.includes("=") ? " " + one.decoding : "";
const called = one => one.writers ? one.member : one.i < 0 ? "greedy" : "#" + one.i;

// ---- Items and candidates.

function row(item) {
  const total = Object.values(item.counts).reduce((sum, count) => sum + count, 0);
  const right = item.counts.correct || 0;
  const state = item.outcome !== "ok" ? words(item.outcome) : item.counts.ungraded === total ? `${total} candidates` : `${right} of ${total} correct`;
  const head = make("summary", {}, setup.runs.length > 1 ? make("span", {class: "pick"}, item.run) : null, make("b", {}, said(item.id)),
    make("span", {class: "soft"}, ` · ${state}${item.split ? " · methods disagree" : ""} · `, said(item.preview, 400)));
  const box = make("details", {class: "item"}, head);
  box.addEventListener("toggle", () => { if (box.open && box.childElementCount === 1) open(box, item); });
  return box;
}

async function open(box, item) {
  const body = make("div", {}, make("p", {class: "soft"}, "…"));
  box.append(body);
  try {
    const whole = await source.whole(item);
    body.replaceChildren(...contents(whole));
  } catch (error) {
    body.replaceChildren(make("p", {class: "warning"}, error.message));
  }
}

function* contents(item) {
  for (const message of item.messages) { yield make("p", {class: "note"}, message.role); yield block(message.content); }
  if (item.choices.length) yield make("p", {}, "Choices: ", ...item.choices.flatMap((choice, at) => [at ? " · " : "", said(choice, 200)]));
  yield make("p", {}, "Reference: ", make("b", {}, item.reference ? said(item.reference, 400) : "none"));
  if (item.error) yield make("p", {class: "warning"}, said(item.error, 2000));
  if (item.picks.length) yield make("p", {}, "Chosen: ", ...item.picks.map(pick => make("span", {class: "pick"},
    `${pick.method}: `, said(pick.answer ?? "no answer", 60), ` ${pick.correct === null ? "" : pick.correct ? "✓" : "✗"}`, ` (${pick.i < 0 ? "greedy" : "#" + pick.i})`)));
  yield candidates(item);
}

function candidates(item) {
  const wanted = item.candidates.filter(isWanted);
  const box = make("div", {});
  const more = make("button", {type: "button", class: "more"});
  let shownSoFar = 0, list = narrowed() ? wanted : item.candidates;
  const go = () => {
    for (const one of list.slice(shownSoFar, shownSoFar + CANDIDATES)) more.before(candidate(item, one));
    shownSoFar = Math.min(shownSoFar + CANDIDATES, list.length);
    if (shownSoFar < list.length) more.textContent = `Show more of ${list.length} candidates (${shownSoFar} shown)`;
    else if (list.length < item.candidates.length) { more.textContent = `Show the ${item.candidates.length - list.length} others too`; list = [...list, ...item.candidates.filter(one => !isWanted(one))]; }
    else more.remove();
  };
  more.addEventListener("click", go);
  box.append(more);
  go();
  return box;
}

function candidate(item, one) {
  const scores = Object.entries(one.scores || {}).map(([name, value]) => ` · ${name} ${number(value)}`);
  const chosen = item.picks.filter(pick => pick.i === one.i && !item.picks.some(other => other.method.includes(" of "))).map(pick => make("span", {class: "pick"}, pick.method));
  const answer = one.writers ? one.writers.join(", ") : one.decoding === "given" ? one.text || "" : one.answer ?? "no answer";
  const head = make("summary", {}, make("i", {class: "dot " + one.outcome}), called(one) + " · ", said(answer), make("span", {class: "soft"},
    ` · ${words(one.outcome)}${one.member === undefined ? "" : ` · ${one.member}`}${pooled(one)}${one.tokens === undefined ? "" : ` · ${one.tokens} tokens`}${scores.join("")} `), ...chosen);
  const box = make("details", {class: "candidate"}, head);
  box.addEventListener("toggle", () => { if (box.open && box.childElementCount === 1) box.append(block(one.text || ""), make("p", {class: "note"}, ...about(one)), ...judged(one)); });
  return box;
}

function* judged(one) {
  for (const [name, replies] of Object.entries(one.said || {})) {
    const total = replies.length === 1 ? "a reply" : `${replies.length} replies`;
    yield make("details", {class: "said"}, make("summary", {}, `${name} wrote ${total}`), ...replies.map(block));
  }
}

function* about(one) {
  if (one.decoding === "given") yield "given with the item";
  else {
    yield "Answer read from it: "; yield one.answer === undefined ? "none" : said(one.answer, 400);
    yield ` · ${one.decoding} · ended by ${one.finish}`;
  }
  if (one.logprob !== undefined) yield ` · log-probability ${number(one.logprob)}`;
  if (one.seed !== undefined) yield ` · seed ${one.seed}`;
  for (const [name, value] of Object.entries(one.credit || {})) yield ` · ${name} ${number(value)}`;
}

// ---- Filters and pages. A search that takes long is asked again until its page is full.

let source, starts = [""], turn = 0, next = null, before = [0];
const place = name => document.getElementById(name);

async function show() {
  const mine = ++turn, found = [];
  let start = starts.at(-1), seen = 0;
  const count = () => `${before.at(-1) + seen} of ${setup.total} items looked through`;
  place("back").disabled = starts.length === 1;
  place("on").disabled = true;
  place("state").textContent = "…";
  try {
    do {
      const page = await source.find(start);
      if (mine !== turn) return;
      found.push(...page.items.slice(0, PAGE - found.length));
      seen += page.seen;
      start = page.next;
      place("state").textContent = `${found.length} found; ${count()} …`;
    } while (start !== null && found.length < PAGE);
    place("state").textContent = found.length || starts.length > 1 ? `${found.length} shown; ${count()}` : `Nothing matches; ${count()}`;
  } catch (error) {
    place("state").textContent = error.message;
  }
  next = start && {start, seen: before.at(-1) + seen};
  place("on").disabled = !next;
  place("items").replaceChildren(...found.map(row));
}

function again() { starts = [""]; before = [0]; return show(); }

function filterBoxes() {
  const choice = (name, label, values) => values.length < 2 ? null : make("label", {}, label, make("select", {name, onchange: event => { filters[name] = event.target.value; again(); }},
    make("option", {value: ""}, "any"), ...values.map(value => make("option", {value}, words(value)))));
  const check = (name, label) => make("label", {class: "check"}, make("input", {type: "checkbox", name, onchange: event => { filters[name] = event.target.checked; again(); }}), label);
  let wait = 0;
  const search = make("input", {type: "search", name: "text", placeholder: "prompt, reply, answer, id", oninput: event => {
    clearTimeout(wait);
    wait = setTimeout(() => { filters.text = event.target.value; again(); }, 200);
  }});
  const boxes = [make("label", {}, "Text", search), choice("run", "Run", setup.runs), choice("outcome", "Outcome", setup.outcome), choice("member", "Member", setup.member),
    choice("decoding", "Decoding", setup.decoding), choice("category", "Category", setup.category), check("split", "methods disagree"), check("failed", "failed items")];
  place("find").append(...boxes.filter(box => box !== null));
  place("find").addEventListener("submit", event => event.preventDefault());
}

function legends() {
  for (const panel of document.querySelectorAll(".panel")) {
    const point = name => { for (const curve of panel.querySelectorAll("g[data-series]")) curve.classList.toggle("dim", name !== null && curve.dataset.series !== name); };
    let kept = null;
    for (const button of panel.querySelectorAll("button[data-series]")) {
      const name = button.dataset.series;
      button.addEventListener("mouseenter", () => point(name));
      button.addEventListener("mouseleave", () => point(kept));
      button.addEventListener("click", () => { kept = kept === name ? null : name; point(kept); });
    }
  }
}

async function begin() {
  legends();
  filterBoxes();
  place("back").addEventListener("click", () => { starts.pop(); before.pop(); show(); });
  place("on").addEventListener("click", () => { starts.push(next.start); before.push(next.seen); show(); });
  place("browser").hidden = false;
  try {
    source = setup.served ? served() : await held();
    await show();
  } catch (error) {
    place("state").textContent = `The candidates can't be shown: ${error.message}`;
  }
  document.documentElement.dataset.ready = "yes";
}

begin();
