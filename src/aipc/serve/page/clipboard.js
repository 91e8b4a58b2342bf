import { element } from "./element.js";

/** A button that copies; nothing where the browser has no clipboard: plain HTTP from elsewhere. */
export function copyButton(label, text) {
  if (!navigator.clipboard) return "";
  const button = element("button", { type: "button", className: "quiet" }, label);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = label), 2000);
  });
  return button;
}
