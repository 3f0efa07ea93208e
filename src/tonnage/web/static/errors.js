// What is wrong, where it stands: beside its field, in the programme, and as one list.
import { byId, make, say } from "./words.js";
import { mark, go } from "./editor.js";

/** Shows problems, the same list as on the command line; none takes the list away. */
export function tellErrors(errors) {
  for (const element of byId("form").elements) {
    if (!element.name) continue;
    element.removeAttribute("aria-invalid");
    const place = byId(`e-${element.name}`);
    if (place) place.hidden = true;
  }
  mark(errors.map((error) => line(error)).filter(Boolean));
  if (!errors.length) {
    byId("errors").replaceChildren();
    return;
  }
  for (const error of errors) beside(error);
  if (errors.some((error) => fieldOf(error)?.name)) byId("asking").open = true;
  const title = errors.length === 1 ? say("problem") : say("problems", errors.length);
  byId("errors").replaceChildren(make("h2", {}, title), make("ul", {}, ...errors.map(item)));
}

/** The line of the programme that an error is in. */
const line = (error) => Number(/\.ya?ml:(\d+):\d+$/.exec(error.place ?? "")?.[1] ?? 0);

/** The element of the field that an error is of, by its name or its flag. */
function fieldOf(error) {
  const name = (error.place ?? "").split(" ")[0].replace(/^--/, "").replaceAll("-", "_");
  return name ? byId("form").elements[FLAGS[name] ?? name] : null;
}

const FLAGS = { in: "place" };

function beside(error) {
  const element = fieldOf(error);
  if (!element?.name) return;
  element.setAttribute("aria-invalid", "true");
  const place = byId(`e-${element.name}`);
  if (!place) return;
  place.textContent = said(error);
  place.hidden = false;
}

const said = (error) => error.text + (error.nearest ? ` ${say("nearest", error.nearest)}` : "");

function item(error) {
  const parts = [];
  const at = line(error);
  const element = fieldOf(error);
  if (at) parts.push(make("button", { type: "button", onclick: () => go(error.place) }, error.place), " ");
  else if (element?.name) {
    const label = byId("form").querySelector(`label[for="${element.id}"]`)?.textContent ?? error.place;
    parts.push(make("button", { type: "button", onclick: () => element.focus() }, label), " ");
  } else if (error.place) parts.push(`${error.place} `);
  if (error.path) parts.push(make("code", {}, error.path), ": ");
  return make("li", {}, ...parts, said(error));
}
