// Charts: Vega-Lite values drawn without eval, in the colours of the theme, with a text, a hover and files of each.
import { state, byId, make, say, tell } from "./words.js";

const drawn = new Map();
let shown = [];

/** The theme that is seen. */
export const theme = () =>
  document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

/** Draws charts in place of those that are there; one of the same name keeps its place. */
export async function show(charts) {
  shown = charts;
  const box = byId("charts");
  const names = charts.map((chart) => chart.name);
  for (const [name, { figure, view }] of drawn) {
    if (names.includes(name)) continue;
    view?.finalize();
    figure.remove();
    drawn.delete(name);
  }
  for (const chart of charts) {
    if (!drawn.has(chart.name)) drawn.set(chart.name, { figure: frame(chart.name) });
    box.append(drawn.get(chart.name).figure);
  }
  await Promise.all(charts.map(draw));
  box.dataset.drawn = String(Number(box.dataset.drawn ?? 0) + 1);
}

/** Draws again, in the theme that is seen now. */
export const again = () => Promise.all(shown.map(draw));

function frame(name) {
  const plot = make("div", { class: "plot", role: "img", "aria-labelledby": `t-${name}`, "aria-describedby": `d-${name}` });
  const saves = make("span", { class: "saves" });
  for (const kind of ["csv", "svg", "png"]) {
    saves.append(make("button", { type: "button", class: "quiet", "data-save": kind, onclick: () => save(name, kind) }, say(kind)));
  }
  const title = make("h2", { id: `t-${name}` });
  return make("figure", { "data-chart": name }, title, plot, make("figcaption", {}, make("span", { id: `d-${name}` }), saves));
}

async function draw(chart) {
  const held = drawn.get(chart.name);
  if (!held) return;
  const { figure } = held;
  figure.querySelector(`#t-${CSS.escape(chart.name)}`).textContent = chart.title;
  figure.querySelector(`#d-${CSS.escape(chart.name)}`).textContent = chart.text;
  for (const button of figure.querySelectorAll("[data-save]")) {
    button.setAttribute("aria-label", say("save", chart.title, say(button.dataset.save)));
  }
  figure.classList.toggle("wide", wide(chart));
  const plot = figure.querySelector(".plot");
  const spec = structuredClone(chart.spec);
  delete spec.description;
  delete spec.title;
  spec.config = state.themes[theme()];
  held.view?.finalize();
  held.chart = chart;
  const made = await window.vegaEmbed(plot, spec, {
    ast: true,
    actions: false,
    defaultStyle: false,
    logLevel: 1,
    renderer: "svg",
    tooltip: hover,
  });
  held.view = made.view;
  await settled(made.view, plot);
  plot.setAttribute("role", "img");
  for (const name of ["aria-label", "aria-roledescription"]) plot.removeAttribute(name);
  const svg = plot.querySelector("svg");
  if (svg) {
    svg.setAttribute("aria-hidden", "true");
    for (const part of svg.querySelectorAll("[role],[aria-label],[aria-roledescription]")) {
      for (const name of ["role", "aria-label", "aria-roledescription", "aria-hidden"]) part.removeAttribute(name);
    }
  }
}

const ROUNDS = 4;

/** Lets a chart take its height: a legend folds once the width is known, and needs a round more for each fold. */
async function settled(view, plot) {
  for (let round = 0, before = null; round < ROUNDS; round++) {
    await view.resize().runAsync();
    const height = plot.querySelector("svg")?.getAttribute("height");
    if (height === before) return;
    before = height;
  }
}

const WIDE = new Set(["timeline", "what-ifs", "chips", "prices", "rules", "back-test"]);

/** Whether a chart takes the whole width: by its kind, and the first of an odd number of others. */
function wide(chart) {
  const others = shown.filter((each) => !WIDE.has(each.name));
  return WIDE.has(chart.name) || (others.length % 2 === 1 && others[0] === chart);
}

/** What is said of a mark: a table of what it is. */
function hover(_, event, __, value) {
  const tip = byId("tip");
  if (value == null || value === "") {
    tip.hidden = true;
    return;
  }
  tip.replaceChildren();
  if (typeof value === "object" && !Array.isArray(value)) {
    const rows = Object.entries(value).filter(([, text]) => text !== "" && text != null);
    tip.append(make("table", {}, make("tbody", {}, ...rows.map(([name, text]) => make("tr", {}, make("th", {}, name), make("td", {}, String(text)))))));
  } else tip.append(String(value));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - box.width - 8);
  const y = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18;
  tip.style.left = `${Math.max(8, x)}px`;
  tip.style.top = `${Math.max(8, y)}px`;
}

/** A chart as a file: its rows, the drawing, or a picture. */
async function save(name, kind) {
  const { chart, view } = drawn.get(name);
  const file = `tonnage-${state.view}-${name}.${kind}`;
  if (kind === "csv") deliver(file, new Blob([csv(rows(chart.spec))], { type: "text/csv" }));
  else if (kind === "svg") deliver(file, new Blob([await view.toSVG()], { type: "image/svg+xml" }));
  else {
    const canvas = await view.toCanvas(2);
    deliver(file, await new Promise((done) => canvas.toBlob(done, "image/png")));
  }
  tell(say("save", chart.title, say(kind)));
}

/** Hands a file to the browser. */
export function deliver(name, blob) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The rows of a chart: its own, then those of its layers. */
export function rows(spec) {
  const own = spec.data?.values ?? [];
  const below = [...(spec.layer ?? []), ...(spec.hconcat ?? []), ...(spec.vconcat ?? []), ...(spec.spec ? [spec.spec] : [])];
  return [...own, ...below.flatMap(rows)];
}

/** Rows as CSV; what a spreadsheet would run gets an apostrophe. */
export function csv(found) {
  const names = [...new Set(found.flatMap((row) => Object.keys(row)))];
  const cell = (value) => {
    if (value == null) return "";
    let text = String(value);
    if (typeof value === "string" && /^[=+\-@\t\r|%]/.test(text) && !/^[+-]?[\d.,]+(e[+-]?\d+)?( ?%)?$/i.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...found.map((row) => names.map((name) => row[name]))].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
addEventListener("scroll", () => (byId("tip").hidden = true), { passive: true });
