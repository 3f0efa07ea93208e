// Runs watched as they go, and verdicts gate by gate.
import { state, byId, make, say } from "./words.js";
import { show } from "./charts.js";
import { clear, tellAnswer } from "./answer.js";
import { table } from "./table.js";

let stream = null;

/** Fills the list of the view, if it has one. */
export async function lists() {
  if (state.view === "runs") await runs();
  if (state.view === "qualify") await verdicts();
}

async function runs() {
  if (!state.ledger) clear(say("noledger"));
  const { runs: found } = await (await fetch("/api/runs")).json();
  const items = found.map((run) =>
    make(
      "div",
      { class: "pick" },
      make("strong", {}, run.name),
      make("span", { class: "dim" }, new Date(run.at * 1000).toISOString().slice(0, 16).replace("T", " ")),
      make("button", { type: "button", onclick: () => watch(run.name) }, say("watch")),
    ),
  );
  byId("items").replaceChildren(...(items.length ? items : [say("noruns")]));
}

function watch(name) {
  stream?.close();
  const steps = new Map();
  const others = [];
  let due = 0;
  byId("live").hidden = false;
  byId("live").replaceChildren();
  stream = new EventSource(`/api/runs/${encodeURIComponent(name)}`);
  stream.onmessage = (message) => {
    for (const event of JSON.parse(message.data)) {
      if (event.event === "step" && Number.isFinite(event.step)) steps.set(event.step, event);
      else others.push(event);
    }
    clearTimeout(due);
    due = setTimeout(() => draw(name, [...steps.values()], others), 150);
  };
}

function draw(name, steps, others) {
  const latest = steps.at(-1);
  const sentence = latest ? `${name}: ${say("step")} ${latest.step.toLocaleString()}, ${say("loss")} ${Number(latest.loss).toPrecision(4)}` : name;
  byId("sentence").textContent = sentence;
  byId("sentence").className = "sentence";
  const rows = others.slice(-200).reverse().map((event) => {
    const { event: kind, step, ...rest } = event;
    return [String(kind ?? ""), step == null ? "" : String(step), Object.entries(rest).map(([key, value]) => `${key} ${value}`).join(", ")];
  });
  const { element } = table({ header: [say("event"), say("step"), ""], rows });
  byId("live").replaceChildren(
    make("details", { class: "table", open: true }, make("summary", {}, say("events")), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("events") }, element)),
  );
  const charts = [["loss", "loss"], ["seconds", "time"], ["time", "time"]]
    .filter(([key]) => steps.some((step) => Number.isFinite(step[key])))
    .map(([key, word]) => curve(key, say(word), thin(steps.filter((step) => Number.isFinite(step[key])))));
  show(charts);
}

/** At most 1,500 of the steps, evenly. */
function thin(steps) {
  const every = Math.ceil(steps.length / 1500);
  return steps.filter((_, at) => at % every === 0 || at === steps.length - 1);
}

function curve(key, title, steps) {
  const values = steps.map((step) => ({ step: step.step, value: step[key] }));
  const last = values.at(-1);
  return {
    name: key,
    title,
    text: `${title}: ${last.value.toPrecision(4)}, ${say("step")} ${last.step.toLocaleString()}.`,
    spec: {
      width: "container",
      height: 240,
      autosize: { type: "fit-x", contains: "padding" },
      title,
      data: { values },
      mark: { type: "line", strokeWidth: 1.5 },
      encoding: {
        x: { field: "step", type: "quantitative", title: say("step"), axis: { tickMinStep: 1, format: ",d" } },
        y: { field: "value", type: "quantitative", title: null, scale: { zero: false } },
      },
    },
  };
}

async function verdicts() {
  clear("");
  const { verdicts: found } = await (await fetch("/api/verdicts")).json();
  const items = found.map((each) =>
    make(
      "div",
      { class: "pick" },
      make("strong", {}, each.name),
      make("span", { class: "dim" }, each.device ?? ""),
      make("span", { class: pill(each.verdict) }, each.verdict ?? ""),
      make("button", { type: "button", onclick: () => verdict(each.name) }, say("show")),
    ),
  );
  byId("items").replaceChildren(...(items.length ? items : [say("noverdicts")]));
  const wanted = new URLSearchParams(location.search).get("file");
  if (found.length) await verdict(found.some((each) => each.name === wanted) ? wanted : found[0].name);
}

const pill = (word) => `pill ${word === "unfit" || word === "fail" ? "bad" : word === "fit for training" || word === "pass" ? "good" : ""}`;

async function verdict(name) {
  const found = await (await fetch(`/api/verdicts/${encodeURIComponent(name)}`)).json();
  history.replaceState(null, "", `?file=${encodeURIComponent(name)}`);
  byId("f-file").value = name;
  tellAnswer(found, true);
  await show(found.charts);
}
