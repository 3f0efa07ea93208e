// What the server said of this view, and its words.
export const state = JSON.parse(document.getElementById("state").textContent);

export const byId = (id) => document.getElementById(id);

/** The text of a word, with {0}, {1} filled in. */
export const say = (key, ...parts) =>
  (state.labels[key] ?? key).replace(/\{(\d)\}/g, (_, n) => String(parts[Number(n)] ?? ""));

/** An element with text (never HTML), attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) found.addEventListener(name.slice(2), value);
    else if (value === true) found.setAttribute(name, "");
    else if (value !== false && value != null) found.setAttribute(name, value);
  }
  found.append(...children.filter((child) => child != null));
  return found;
}

/** Said to who does not see it. */
export const tell = (text) => {
  byId("said").textContent = text;
};

/** A share as people read it. */
export const share = (value) => `${Math.round(100 * value)} %`;
