// An answer as it is read: the sentence, the lines below it, tables, the command, sources, files.
import { byId, make, say, state } from "./words.js";
import { linked } from "./links.js";
import { table } from "./table.js";

const LONG = 30;

byId("sources").addEventListener("toggle", async () => {
  const { open, dataset } = byId("sources");
  if (!open || !dataset.key) return;
  const response = await fetch(`/api/sources/${dataset.key}`);
  if (response.ok) byId("sourcelist").replaceChildren(table(await response.json()).element);
});

/** Shows an answer; `whole` is false while a better one is on its way. */
export function tellAnswer(line, whole) {
  const sentence = byId("sentence");
  sentence.replaceChildren(...linked(line.answer?.sentence ?? ""));
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
  byId("dl").replaceChildren(...rows.flatMap(({ label, text }) => [make("dt", {}, label), make("dd", {}, ...linked(text))]));
}

function hints(found) {
  byId("hints").replaceChildren(...found.map((hint) => make("li", {}, hint)));
}

function files(line, whole) {
  const found = [];
  if (whole && line.key) {
    for (const kind of line.answer?.csv ? ["html", "json", "csv"] : ["html", "json"]) {
      const name = say({ html: "report", json: "json", csv: "table" }[kind]);
      found.push(make("a", { href: `/download/${line.key}.${kind}`, download: `tonnage-${state.view}.${kind}` }, name));
    }
  }
  byId("files").replaceChildren(...found);
}

function tables(found) {
  const open = new Map([...document.querySelectorAll("#tables details")].map((each) => [each.dataset.title, each.open]));
  byId("tables").replaceChildren(...found.map((each, at) => folded(each, open.get(each.title) ?? (at < 1 || found.length < 3))));
}

function folded(given, open) {
  const body = make("details", { class: "table", "data-title": given.title, open }, make("summary", {}, given.title));
  const { element, narrow } = table(given);
  if (given.rows.length > LONG) body.append(filter(narrow));
  body.append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": given.title }, element));
  if (given.note) body.append(make("p", {}, ...linked(given.note)));
  return body;
}

function filter(narrow) {
  const input = make("input", { type: "search", placeholder: say("filter"), "aria-label": say("filter"), oninput: (event) => narrow(event.target.value) });
  return make("div", { class: "filter" }, input);
}
