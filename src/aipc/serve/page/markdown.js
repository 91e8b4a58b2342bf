// An answer is a stranger's text.  It becomes nodes made here, one kind for each kind of markdown,
// with the text set as text: no HTML is ever parsed, so there is none to sanitise.

import { copyButton } from "./clipboard.js";
import { codeNodes } from "./code.js";
import { element } from "./element.js";
import { mathNode } from "./math.js";

const DEEPEST = 8; // quotes and lists in one another; what is deeper is shown as it stands
const LONGEST_INLINE = 20_000; // characters of one block that are searched for bold, links, …
const SAFE = ["http:", "https:", "mailto:"];

const FENCE = /^ {0,3}(`{3,}|~{3,}) *([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6}) +(.*)$/;
const RULE = /^ {0,3}([-*_])(?: *\1){2,} *$/;
const QUOTE = /^ {0,3}> ?/;
const MATH = /^ {0,3}(?:(\$\$)|\\\[)/;
const ITEM = /^( {0,3})([-*+]|(\d{1,9})[.)])(?: +|$)/;

/** A document that grows: what is added changes its last block, and only that is made anew. */
export class Markdown {
  #place;
  #open = [];
  #source = "";

  constructor(place) {
    this.#place = place;
  }

  append(text) {
    this.#source += text;
    this.#render({ depth: 0, isWhole: false });
  }

  finish() {
    this.#render({ depth: 0, isWhole: true });
  }

  #render(context) {
    const lines = this.#source.split("\n");
    const blocks = [...readBlocks(lines, context)];
    this.#open.forEach((node) => node.remove());
    this.#place.append(...blocks.map(({ node }) => node));
    const last = blocks.at(-1);
    const isApart = last && standsApart(lines, last.start);
    this.#open = (isApart ? [last] : blocks).map(({ node }) => node);
    if (isApart) this.#source = lines.slice(last.start).join("\n");
  }
}

/** Half a line can still turn out to belong to the block before it. */
function standsApart(lines, at) {
  const isWhole = at < lines.length - 1;
  return isWhole || (lines[at - 1]?.trim() === "" && /^[^\s\d*+-]/.test(lines[at]));
}

export function renderMarkdown(place, text) {
  const document = new Markdown(place);
  document.append(text);
  document.finish();
}

/** Each reads the block that starts at a line: `[node, line after it]`; null for another kind. */
const READERS = [
  readCode, readMath, readHeading, readRule, readQuote, readList, readTable, readParagraph,
];

function* readBlocks(lines, context) {
  for (let at = 0; at < lines.length;) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const start = at;
    let node = null;
    for (const read of context.depth < DEEPEST ? READERS : [readParagraph]) {
      const block = read(lines, start, context);
      if (!block) continue;
      [node, at] = block;
      break;
    }
    yield { node, start };
  }
}

function inside(lines, context) {
  const deeper = { ...context, depth: context.depth + 1 };
  return [...readBlocks(lines, deeper)].map(({ node }) => node);
}

function readCode(lines, at, { isWhole }) {
  const [, fence, language] = FENCE.exec(lines[at]) ?? [];
  if (!fence) return null;
  const closes = (line) => line.trim().startsWith(fence) && /^(`+|~+)$/.test(line.trim());
  const end = lines.findIndex((line, index) => index > at && closes(line));
  const isClosed = end !== -1;
  const text = lines.slice(at + 1, isClosed ? end : lines.length).join("\n");
  const head = element("figcaption", {}, element("span", {}, language || "text"));
  const isEnded = isClosed || isWhole;
  // A button that is made anew with every token could not be clicked.
  if (isEnded) head.append(copyButton("Copy code", text));
  const words = isEnded ? codeNodes(text, language) : [text];
  const block = element("figure", { className: "listing" }, head,
    element("pre", {}, element("code", {}, ...words)));
  return [block, isClosed ? end + 1 : lines.length];
}

/** Up to its closing sign or, where that is missing, a blank line: a plain paragraph then. */
function readMath(lines, at) {
  const [opener, dollars] = MATH.exec(lines[at]) ?? [];
  if (!opener) return null;
  const closer = dollars ?? "\\]";
  let [end, isClosed] = [at, false];
  while (!isClosed && lines[end]?.trim()) {
    const own = end === at ? lines[end].slice(opener.length) : lines[end];
    isClosed = own.trimEnd().endsWith(closer);
    end += 1;
  }
  const text = lines.slice(at, end).join("\n").trim();
  if (!isClosed) return [element("p", {}, ...inline(text)), end];
  return [mathNode(text.slice(2, -2), true), end];
}

/** The page's own headings go down to h2. */
function readHeading(lines, at) {
  const [, marks, text] = HEADING.exec(lines[at]) ?? [];
  if (!marks) return null;
  const title = text.trim().replace(/ #+$/, "");
  return [element(`h${Math.min(marks.length + 2, 6)}`, {}, ...inline(title)), at + 1];
}

function readRule(lines, at) {
  return RULE.test(lines[at]) ? [element("hr"), at + 1] : null;
}

function readQuote(lines, at, context) {
  if (!QUOTE.test(lines[at])) return null;
  const end = endOf(lines, at, (line) => QUOTE.test(line));
  const quoted = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [element("blockquote", {}, ...inside(quoted, context)), end];
}

function readList(lines, at, context) {
  const [, , , number] = ITEM.exec(lines[at]) ?? [];
  if (!ITEM.test(lines[at])) return null;
  const isOrdered = number !== undefined;
  const list = element(isOrdered ? "ol" : "ul");
  if (isOrdered && number !== "1") list.start = Number(number);
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    if (!found || (found[3] !== undefined) !== isOrdered || RULE.test(lines[next])) break;
    const end = endOfItem(lines, next, found[1].length + 2);
    const indent = new RegExp(`^ {0,${found[0].length}}`);
    const [first, ...others] = lines.slice(next, end);
    const item = [first.slice(found[0].length), ...others.map((line) => line.replace(indent, ""))];
    list.append(element("li", {}, ...inside(item, context)));
    next = end;
  }
  return [list, next];
}

/** Its own lines, those indented below it, and blank ones that something of the list follows. */
function endOfItem(lines, start, indent) {
  let end = start + 1;
  for (let at = end; at < lines.length; at += 1) {
    const line = lines[at];
    if (line.trim() === "") continue;
    const isOwn = line.search(/\S/) >= indent;
    const isLazy = lines[at - 1].trim() !== "" && !beginsBlock(lines, at);
    if (!isOwn && !isLazy) return ITEM.test(line) ? at : end;
    end = at + 1;
  }
  return end;
}

function readTable(lines, at) {
  if (!beginsTable(lines, at)) return null;
  const end = endOf(lines, at + 2, (line) => line.includes("|"));
  const sides = cellsOf(lines[at + 1]).map(sideOf);
  const row = (tag) => (line) => {
    const cells = cellsOf(line).slice(0, sides.length);
    return element("tr", {}, ...cells.map((cell, column) =>
      element(tag, sides[column], ...inline(cell))));
  };
  const table = element("table", {},
    element("thead", {}, row("th")(lines[at])),
    element("tbody", {}, ...lines.slice(at + 2, end).map(row("td"))));
  return [element("div", { className: "table" }, table), end];
}

function beginsTable(lines, at) {
  if (!lines[at].includes("|") || !lines[at + 1]?.includes("-")) return false;
  const rule = cellsOf(lines[at + 1]);
  return rule.every((cell) => /^:?-+:?$/.test(cell)) && rule.length === cellsOf(lines[at]).length;
}

const cellsOf = (line) =>
  line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));

function sideOf(rule) {
  if (!rule.endsWith(":")) return {};
  return { className: rule.startsWith(":") ? "centre" : "right" };
}

function readParagraph(lines, at, { depth }) {
  let end = at + 1;
  const goesOn = () => lines[end].trim() !== "" && (depth >= DEEPEST || !beginsBlock(lines, end));
  while (end < lines.length && goesOn()) end += 1;
  return [element("p", {}, ...inline(lines.slice(at, end).join("\n").trim())), end];
}

/** What ends a paragraph without a blank line. */
function beginsBlock(lines, at) {
  const line = lines[at];
  const kinds = [FENCE, MATH, HEADING, RULE, QUOTE, ITEM];
  return kinds.some((kind) => kind.test(line)) || beginsTable(lines, at);
}

function endOf(lines, at, goesOn) {
  const end = lines.findIndex((line, index) => index >= at && !goesOn(line));
  return end === -1 ? lines.length : end;
}

// Every repetition is bounded, so that no text, however made, is slow to search.
const INLINE = new RegExp([
  /\$\$(?<display>[^$]{1,1000})\$\$/,
  /\\\[(?<square>.{1,1000}?)\\\]/,
  /\\\((?<round>.{1,1000}?)\\\)/,
  // Not "$5 and $6".
  /(?<![\w$\\])\$(?=[^\s$])(?<dollar>[^$\n]{1,500})(?<=[^\s\\])\$(?![\w$])/,
  /\\(?<escaped>[!-\/:-@[-`{-~])/,
  /(?<!`)(?<ticks>`{1,3})(?!`)(?<code>.{1,1000}?)(?<!`)\k<ticks>(?!`)/,
  /!?\[(?<label>[^[\]]{1,99})\]\((?<href>(?:[^\s()]|\([^\s()]{0,99}\)){1,999})(?: "[^"]{0,99}")?\)/,
  /<(?<bracketed>https?:\/\/[^\s<>]{1,1000})>/,
  /(?<bare>https?:\/\/[^\s<>`*]{0,1000}[^\s<>`*.,;:!?'")\]])/,
  /\*\*(?=\S)(?<strong>.{1,1000}?)(?<=\S)\*\*(?!\*)/,
  /(?<!\w)__(?=\S)(?<strong_>.{1,1000}?)(?<=\S)__(?!\w)/,
  /\*(?=[^\s*])(?<em>(?:\*\*[^*]{1,500}\*\*|[^*]){1,1000}?)(?<=\S)\*(?!\*)/,
  /(?<!\w)_(?=[^\s_])(?<em_>[^_]{1,1000}?)(?<=\S)_(?!\w)/,
  /~~(?=\S)(?<del>.{1,1000}?)(?<=\S)~~/,
].map(({ source }) => source).join("|"), "gs");

/** Nodes and strings. */
function inline(text, depth = 0) {
  if (depth >= DEEPEST || text.length > LONGEST_INLINE) return [text];
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    nodes.push(text.slice(end, found.index), inlineNode(found, depth));
    end = found.index + found[0].length;
  }
  return [...nodes, text.slice(end)].filter((node) => node !== "");
}

function inlineNode({ 0: source, groups }, depth) {
  const { escaped, code, label, href, bracketed, bare, strong, strong_, em, em_, del } = groups;
  const marked = (tag, text) => element(tag, {}, ...inline(text, depth + 1));
  const { display, square, round, dollar } = groups;
  if (display ?? square) return mathNode(display ?? square, true);
  if (round ?? dollar) return mathNode(round ?? dollar, false);
  if (escaped) return escaped;
  if (code) return element("code", {}, code);
  // An image is a link too: fetching it would tell a stranger that the answer was read.
  if (label) return link(href, inline(label, depth + 1), source);
  if (bracketed ?? bare) return link(bracketed ?? bare, [bracketed ?? bare], source);
  if (strong ?? strong_) return marked("strong", strong ?? strong_);
  if (em ?? em_) return marked("em", em ?? em_);
  return marked("del", del);
}

function link(address, children, source) {
  if (!SAFE.includes(schemeOf(address))) return source;
  const rel = "noopener noreferrer";
  return element("a", { href: address, rel, target: "_blank" }, ...children);
}

/** Null for a relative address: it would lead into this server. */
function schemeOf(address) {
  try {
    return new URL(address).protocol;
  } catch {
    return null;
  }
}
