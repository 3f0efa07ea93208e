// The page: the form asks, the answer is shown, the address says what was asked.
import { state, byId, make, say, tell } from "./words.js";
import { held, remember, restore, unusual, values } from "./address.js";
import { ask, cancel } from "./ask.js";
import { again, show, theme } from "./charts.js";
import { clear, command, stale, tellAnswer } from "./answer.js";
import { tellErrors } from "./errors.js";
import { edited, original, put } from "./editor.js";
import { compare, forget, off, switches } from "./launch.js";
import { lists } from "./lists.js";

const launch = state.view === "launch";
let left = [];

/** Asks what the form says. */
async function go(push = true) {
  const given = values();
  if (launch) given.off = left.join(",");
  const programme = launch ? edited() : null;
  await remember(given, programme, push);
  byId("filename")?.replaceChildren(programme == null ? "" : `(${say("edited")})`);
  const question = { view: state.view, fields: unusual(given) };
  if (programme != null) question.programme = programme;
  stale();
  working(say("working"));
  byId("answer").dataset.whole = "false";
  let problems = false;
  const finished = await ask(question, (line) => {
    if (line.kind === "told") command(line.command);
    else if (line.kind === "progress") progress(line);
    else if (line.kind === "base") {
      compare(line.facts, true, left);
      switches(left, toggled);
      if (line.charts) show(line.charts);
    }
    else if (line.kind === "refused") refused(line.why);
    else if (line.kind === "answer" || line.kind === "wrong") problems = !answered(line) || problems;
  });
  if (finished) {
    byId("working").hidden = true;
    byId("answer").dataset.done = String(Number(byId("answer").dataset.done ?? 0) + 1);
  }
}

function answered(line) {
  tellErrors(line.errors ?? []);
  if (!line.answer) {
    clear(line.errors?.length ? "" : say("noanswer"));
    show([]);
    byId("tables").replaceChildren();
    byId("rows").hidden = true;
    return false;
  }
  const whole = line.stage === line.of;
  tellAnswer(line, whole);
  show(line.charts);
  if (launch) {
    if (!left.length) compare(line.facts, true, left);
    compare(line.facts, false, left);
    switches(left, toggled);
  }
  if (whole) tell(line.answer.sentence);
  else working(say("refining"));
  return true;
}

function toggled() {
  left = off();
  go();
}

function working(text) {
  byId("working").hidden = false;
  byId("bar").removeAttribute("value");
  byId("doing").textContent = text;
}

function progress(line) {
  const { done, of, what } = line.what ?? {};
  if (line.ahead) byId("doing").textContent = say("waiting", line.ahead);
  else if (of) byId("doing").textContent = `${what ?? ""} ${say("done", done, of)}`.trim();
  if (of) byId("bar").value = done / of;
  else byId("bar").removeAttribute("value");
}

function refused(why) {
  byId("working").hidden = true;
  byId("errors").replaceChildren(make("p", {}, say(why)));
  for (const id of ["charts", "tables", "rows", "answer"]) byId(id).classList.remove("stale");
  if (byId("sentence").classList.contains("waiting")) clear(say("noanswer"));
}

async function programme(fresh) {
  const name = byId("f-start").value || "own";
  const found = await (await fetch(`/api/programme/${encodeURIComponent(name)}`)).json();
  put((fresh ? null : await held()) ?? found.text, found.text);
}

async function names() {
  const found = await (await fetch("/api/names")).json();
  for (const [id, list] of [["models", found.models], ["chips", found.chips]]) {
    byId(id).replaceChildren(...list.map((each) => make("option", { value: each })));
  }
}

function slider() {
  const range = byId("day");
  if (!range) return;
  const first = Date.UTC(2022, 7, 1);
  const day = (n) => new Date(first + n * 86_400_000).toISOString().slice(0, 10);
  range.max = String(Math.floor((Date.now() - first) / 86_400_000));
  const field = byId("f-as_of");
  const follow = () => {
    const at = Date.parse(field.value);
    range.value = String(Number.isNaN(at) ? Number(range.max) : Math.round((at - first) / 86_400_000));
    byId("dayis").textContent = day(Number(range.value));
    range.setAttribute("aria-valuetext", day(Number(range.value)));
  };
  let soon = 0;
  range.addEventListener("input", () => {
    field.value = Number(range.value) === Number(range.max) ? "" : day(Number(range.value));
    follow();
    clearTimeout(soon);
    soon = setTimeout(() => go(false), 120);
  });
  range.addEventListener("change", () => remember(values(), null, true));
  field.addEventListener("input", follow);
  follow();
}

function listen() {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  byId("form").addEventListener("change", async (event) => {
    if (!event.target.name) return;
    if (event.target.name === "start") {
      left = [];
      forget();
      await programme(true);
    }
    go();
  });
  byId("cancel").addEventListener("click", cancel);
  byId("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(byId("cli").textContent);
    tell(say("copied"));
    byId("copy").textContent = say("copied");
    setTimeout(() => (byId("copy").textContent = copyText), 1500);
  });
  const own = byId("f-start")?.querySelector('option[value="own"]');
  if (own) own.textContent += `: ${state.programme}`;
  const copyText = byId("copy").textContent;
  byId("launchit")?.addEventListener("click", () => {
    forget();
    go();
  });
  byId("restore")?.addEventListener("click", () => {
    put(original());
    forget();
    go();
  });
  byId("theme").addEventListener("click", () => {
    const next = theme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("tonnage-theme", next);
    } catch {
      // it is only not kept
    }
    again();
  });
  addEventListener("popstate", begin);
}

/** On a narrow screen the answer comes first: the form is folded. */
function fold() {
  const narrow = matchMedia("(max-width: 60rem)");
  const follow = () => (byId("asking").open = !narrow.matches);
  narrow.addEventListener("change", follow);
  follow();
}

/** On a narrow screen the name of this view is moved to where it is seen; `scrollIntoView` would move the focus too. */
function reveal() {
  const list = document.querySelector("nav ul");
  const here = list.querySelector("[aria-current]")?.getBoundingClientRect();
  if (here) list.scrollLeft += here.left - list.getBoundingClientRect().left - (list.clientWidth - here.width) / 2;
}

async function begin() {
  restore();
  if (byId("more") && [...byId("more").querySelectorAll("input,select")].some((each) => unusual(values())[each.name] !== undefined)) {
    byId("more").open = true;
  }
  left = (new URLSearchParams(location.search).get("off") ?? "").split(",").filter(Boolean);
  if (launch) await programme(false);
  if (state.view === "qualify" || (state.view === "runs" && !state.ledger)) return;
  await go(false);
}

fold();
reveal();
listen();
slider();
lists();
names();
begin();
