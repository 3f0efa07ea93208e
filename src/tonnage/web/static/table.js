// A table as it is read: columns of numbers aligned right, sorted by a click on their name, long ones in parts.
import { make, say, state } from "./words.js";
import { linked } from "./links.js";

const PART = 60;
const SHORT = 26;
const LISTS = new Set(["chip", "model", "price of"]);

/** A table that can be sorted, and the way to narrow its rows: `{ element, narrow }`. */
export function table(given) {
  const kinds = given.header.map((_, i) => kind(given.rows.map((row) => row[i])));
  const body = make("tbody");
  const more = make("button", { type: "button", class: "quiet", hidden: true });
  let wanted = "";
  let by = null;
  let all = false;
  const draw = () => {
    let rows = wanted ? given.rows.filter((row) => row.join("\n").toLowerCase().includes(wanted)) : given.rows;
    if (by) rows = sorted(rows, by.column, by.up);
    const seen = all ? rows : rows.slice(0, PART);
    body.replaceChildren(...seen.map((row) => make("tr", {}, ...row.map((cell, i) => make("td", { class: look(cell, kinds[i]) }, ...shown(cell, i, given))))));
    more.hidden = seen.length === rows.length;
    more.textContent = say("allrows", rows.length.toLocaleString("en"));
  };
  more.addEventListener("click", () => {
    all = true;
    draw();
  });
  const sort = (column, head) => {
    by = by?.column === column ? (by.up ? { column, up: false } : null) : { column, up: true };
    for (const each of head.closest("tr").children) each.removeAttribute("aria-sort");
    if (by) head.setAttribute("aria-sort", by.up ? "ascending" : "descending");
    draw();
  };
  const head = given.header.map((cell, i) => {
    const made = make("th", { class: look(cell, kinds[i]), scope: "col" });
    if (given.rows.length < 2 || !cell) made.append(cell ?? "");
    else made.append(make("button", { type: "button", class: "sort", onclick: () => sort(i, made) }, cell));
    return made;
  });
  draw();
  const narrow = (text) => {
    wanted = text.trim().toLowerCase();
    draw();
  };
  return { element: make("div", {}, make("table", {}, make("thead", {}, make("tr", {}, ...head)), body), more), narrow };
}

const look = (cell, kind) => [kind ?? "", (cell ?? "").length <= SHORT ? "short" : ""].join(" ").trim() || null;

/** In the catalogue a name of a list leads to all that is known of it; addresses and rules are links everywhere. */
function shown(cell, column, given) {
  if (column === 0 && state.view === "catalogue" && LISTS.has(given.header[0]) && /^[\w.-]+$/.test(cell ?? "")) {
    const query = new URLSearchParams(location.search);
    query.set("what", cell);
    return [make("a", { href: `?${query}` }, cell)];
  }
  return linked(cell ?? "");
}

function kind(cells) {
  const filled = cells.filter((cell) => cell && cell !== "-");
  if (filled.length && filled.every((cell) => /^[ #|]+$/.test(cell))) return "sign";
  const numbers = filled.filter((cell) => /^[+\-−$~<>±]*\d[\d.,]*( ?[%A-Za-z/$]+){0,2}$/.test(cell) && !/^\d{4}-\d\d/.test(cell));
  return filled.length && numbers.length >= 0.7 * filled.length ? "number" : null;
}

/** Rows in the order of a column: by size where both are sizes, by letters else; what is not known comes last. */
function sorted(rows, column, up) {
  const keyed = rows.map((row) => ({ row, text: row[column] ?? "", size: size(row[column] ?? "") }));
  const none = (each) => each.text === "" || each.text === "-";
  keyed.sort((a, b) => {
    if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
    const order = Number.isNaN(a.size) || Number.isNaN(b.size) ? a.text.localeCompare(b.text, "en", { numeric: true }) : a.size - b.size;
    return up ? order : -order;
  });
  return keyed.map(({ row }) => row);
}

const UNITS = { s: 1, ms: 1e-3, us: 1e-6, min: 60, h: 3600, d: 86400, k: 1e3, M: 1e6, B: 1e9, T: 1e12, P: 1e15 };
const PREFIXES = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 };

/** What a cell measures, in base units; NaN where it is no number, or a date. */
export function size(text) {
  const found = /^[~<>±$]*([+\-−]?)\$?(\d[\d,]*\.?\d*) ?([A-Za-z%]*)/.exec(text);
  if (!found || /^\d{4}-\d\d/.test(text)) return NaN;
  const [, sign, digits, unit] = found;
  const factor = UNITS[unit] ?? (unit.length > 1 ? PREFIXES[unit[0]] : undefined) ?? 1;
  return Number(digits.replaceAll(",", "")) * factor * (sign && sign !== "+" ? -1 : 1);
}
