// The programme in the page: lines numbered, those with an error marked; Escape leaves it.
import { byId } from "./words.js";

const text = byId("programme");
const gutter = byId("gutter");
let wrong = [];
let first = "";

/** Puts a programme in; `own` is what it was before it was edited. */
export function put(found, own = found) {
  if (!text) return;
  text.value = found;
  first = own;
  number();
}

/** The programme if it was edited, else null. */
export const edited = () => (text && text.value !== first && first ? text.value : null);

/** As it was before it was edited. */
export const original = () => first;

/** Marks lines with errors. */
export function mark(lines) {
  wrong = lines;
  if (!text) return;
  number();
  if (lines.length) byId("edit").open = true;
}

/** Moves to `file:line:column`. */
export function go(place) {
  const found = /:(\d+):(\d+)$/.exec(place);
  if (!found || !text) return;
  byId("edit").open = true;
  const lines = text.value.split("\n");
  const at = lines.slice(0, Number(found[1]) - 1).reduce((sum, line) => sum + line.length + 1, 0) + Number(found[2]) - 1;
  text.focus();
  text.setSelectionRange(at, at);
  text.scrollTop = (Number(found[1]) - 6) * parseFloat(getComputedStyle(text).lineHeight);
  number();
}

function number() {
  const count = text.value.split("\n").length;
  const parts = [];
  for (let n = 1; n <= count; n += 1) {
    if (wrong.includes(n)) {
      const bold = document.createElement("b");
      bold.textContent = String(n);
      parts.push(bold, "\n");
    } else parts.push(`${n}\n`);
  }
  gutter.replaceChildren(...parts, "\n\n\n");
  gutter.scrollTop = text.scrollTop;
}

if (text) {
  text.addEventListener("input", number);
  text.addEventListener("scroll", () => (gutter.scrollTop = text.scrollTop));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") byId("launchit").focus();
  });
}
