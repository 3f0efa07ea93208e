// An answer as it is read: the sentence, the lines below it, tables, the command, sources, files.
import { byId, make, say, state } from "./words.js";
import { deliver } from "./charts.js";

const LONG = 30;

byId("sources").addEventListener("toggle", async () => {
  const { open, dataset } = byId("sources");
  if (!open || !dataset.key) return;
  const response = await fetch(`/api/sources/${dataset.key}`);
  if (response.ok) byId("sourcelist").replaceChildren(grid(await response.json()));
});

/** Shows an answer; `whole` is false while a better one is on its way. */
export function tellAnswer(line, whole) {
  const sentence = byId("sentence");
  sentence.textContent = line.answer?.sentence ?? "";
  sentence.className = line.answer?.feasible === false ? "sentence no" : "sentence";
  for (const id of ["charts", "tables", "rows", "answer"]) byId(id).classList.remove("stale");
  byId("answer").dataset.whole = String(whole);
  details(line.answer?.rows ?? []);
  tables(line.answer?.tables ?? []);
  hints(line.answer?.hints ?? []);
  files(line, whole);
  byId("sources").hidden = !line.sources || !whole;
  byId("sources").open = false;
  byId("sources").dataset.key = line.key ?? "";
}

/** Shows that what is seen is of an earlier question. */
export function stale() {
  for (const id of ["charts", "tables", "rows", "answer"]) byId(id).classList.add("stale");
}

/** Nothing to see: what was there is taken away. */
export function clear(text) {
  byId("sentence").textContent = text;
  byId("sentence").className = "sentence waiting";
  for (const id of ["charts", "tables", "rows", "answer"]) byId(id).classList.remove("stale");
  byId("moved").hidden = true;
}

/** The command line of a question. */
export function command(text) {
  byId("command").hidden = false;
  byId("cli").textContent = text;
}

function details(rows) {
  byId("rows").hidden = !rows.length;
  byId("dl").replaceChildren(...rows.flatMap(({ label, text }) => [make("dt", {}, label), make("dd", {}, text)]));
}

function hints(found) {
  byId("hints").replaceChildren(...found.map((hint) => make("li", {}, hint)));
}

function files(line, whole) {
  const found = [];
  if (whole && line.key) {
    for (const kind of ["html", "json"]) {
      const name = say(kind === "json" ? "json" : "report");
      found.push(make("a", { href: `/download/${line.key}.${kind}`, download: `tonnage-${state.view}.${kind}` }, name));
    }
    if (line.answer?.csv) {
      const give = () => deliver(`tonnage-${state.view}.csv`, new Blob([line.answer.csv], { type: "text/csv" }));
      found.push(make("button", { type: "button", class: "quiet", id: "csv", onclick: give }, say("csv")));
    }
  }
  byId("files").replaceChildren(...found);
}

function tables(found) {
  const open = new Map([...document.querySelectorAll("#tables details")].map((each) => [each.dataset.title, each.open]));
  byId("tables").replaceChildren(...found.map((table, at) => folded(table, open.get(table.title) ?? (at < 1 || found.length < 3))));
}

function folded(table, open) {
  const body = make("details", { class: "table", "data-title": table.title, open }, make("summary", {}, table.title));
  if (table.rows.length > LONG) body.append(filter(body));
  body.append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": table.title }, grid(table)));
  if (table.note) body.append(make("p", {}, table.note));
  return body;
}

/** A table: columns of numbers aligned right. */
export function grid(table) {
  const kinds = table.header.map((_, i) => kind(table.rows.map((row) => row[i])));
  const cells = (row, tag) =>
    row.map((cell, i) => {
      const short = (cell ?? "").length <= SHORT ? "short" : "";
      const look = [kinds[i] ?? "", short].join(" ").trim();
      return make(tag, { class: look || null, scope: tag === "th" && "col" }, tag === "td" && i === 0 ? named(cell ?? "", table) : (cell ?? ""));
    });
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...cells(table.header, "th"))),
    make("tbody", {}, ...table.rows.map((row) => make("tr", {}, ...cells(row, "td")))),
  );
}

/** In the catalogue a name of a list leads to all that is known of it. */
function named(cell, table) {
  if (state.view !== "catalogue" || !LISTS.has(table.header[0]) || !/^[\w.-]+$/.test(cell)) return cell;
  const query = new URLSearchParams(location.search);
  query.set("what", cell);
  return make("a", { href: `?${query}` }, cell);
}

const LISTS = new Set(["chip", "model", "price of"]);
const SHORT = 26;

function kind(cells) {
  const filled = cells.filter((cell) => cell && cell !== "-");
  if (filled.length && filled.every((cell) => /^[ #|]+$/.test(cell))) return "sign";
  const numbers = filled.filter((cell) => /^[+\-−$~<>±]?[\d][\d.,]*( ?[%\w/$]+){0,2}$/.test(cell) && !/^\d{4}-\d\d/.test(cell));
  return filled.length && numbers.length >= 0.7 * filled.length ? "number" : null;
}

function filter(body) {
  const narrow = (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.querySelectorAll("tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  };
  return make("div", { class: "filter" }, make("input", { type: "search", placeholder: say("filter"), "aria-label": say("filter"), oninput: narrow }));
}
