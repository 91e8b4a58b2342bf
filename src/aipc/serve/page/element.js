/** A DOM element with properties, `data` and `aria` among them, and children: nodes or strings. */
export function element(tag, properties = {}, ...children) {
  const { data = {}, aria = {}, ...plain } = properties;
  const made = Object.assign(document.createElement(tag), plain);
  Object.assign(made.dataset, data);
  for (const [name, value] of Object.entries(aria)) made.setAttribute(`aria-${name}`, value);
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);
