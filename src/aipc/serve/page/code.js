import hljs from "./lib/highlight/highlight.min.js";
import { element } from "./element.js";

const LONGEST = 20_000; // characters; what is longer is shown in one color

/** Nodes and strings of a listing, its words in spans of the class `hl-KIND`. */
export function codeNodes(text, language) {
  if (text.length > LONGEST || !hljs.getLanguage(language)) return [text];
  const { _emitter, errorRaised } = hljs.highlight(text, { language, ignoreIllegals: true });
  // The library's tree and not its HTML: no text of an answer is ever parsed as such.
  return errorRaised ? [text] : [...flatNodes(_emitter.root)];
}

/** A stranger's text may nest as deep as it is long: nothing here is in one another. */
function* flatNodes(root) {
  const left = [[root, ""]];
  while (left.length) {
    const [node, kind] = left.pop();
    if (typeof node === "string") yield kind ? marked(node, kind) : node;
    else {
      const own = node.scope ? node.scope.split(/[.:]/)[0] : kind;
      for (const child of node.children.toReversed()) left.push([child, own]);
    }
  }
}

const marked = (text, kind) => element("span", { className: `hl-${kind}` }, text);
