import { element } from "./element.js";

const OPTIONS = { throwOnError: true, trust: false, maxSize: [10, 100], maxExpand: 200 };

/** TeX as MathML; as it stands where it is no TeX that is understood. */
export function mathNode(source, isDisplay) {
  const place = element(isDisplay ? "div" : "span", { className: "math" });
  try {
    // Nodes and no HTML; \href and its like are refused without trust.
    window.temml.render(source, place, { ...OPTIONS, displayMode: isDisplay, macros: {} });
  } catch {
    return element("code", {}, source);
  }
  // Of \label and \ref; the names would mix with the page's own.
  for (const node of place.querySelectorAll("[id], [href]")) {
    node.removeAttribute("id");
    node.removeAttribute("href");
  }
  return place;
}
