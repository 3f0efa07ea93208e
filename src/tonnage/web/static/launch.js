// Rules as switches, and what one of them is worth: the same launch with it and without.
import { linked } from "./links.js";
import { byId, make, say, share } from "./words.js";

const known = new Map();
const bases = new Map(); // by their number of draws
let now = null;

/** Rules that are switched off. */
export const off = () => [...document.querySelectorAll("#switches input:not(:checked)")].map((each) => each.value);

/** Shows the rules that count with none left out, and those that are; `changed` is told of a click. */
export function switches(left, changed) {
  const names = [...new Set([...known.keys(), ...left])];
  byId("rules").hidden = !names.length;
  const focus = document.activeElement?.value;
  byId("switches").replaceChildren(
    ...names.map((name) => {
      const rule = known.get(name);
      const box = make("input", { type: "checkbox", role: "switch", value: name, checked: !left.includes(name), onchange: changed });
      const words = make("span", {}, rule?.title ?? name, make("span", {}, rule?.effect ?? name));
      const source = make("a", { class: "reset", href: `/catalogue?what=${encodeURIComponent(name)}`, "aria-label": `${say("rule")}: ${rule?.title ?? name}` }, say("rule"));
      return make("div", { class: "rule" }, make("label", { class: "switch" }, box, words), source);
    }),
  );
  document.querySelector(`#switches input[value="${CSS.escape(focus ?? "")}"]`)?.focus();
}

/** Another programme: nothing of the last one is known any more. */
export function forget() {
  known.clear();
  bases.clear();
  now = null;
}

/** The launch with all rules, or the one that is seen. Tells what the switches moved once both are there. */
export function compare(facts, isBase, left) {
  if (isBase) {
    bases.set(facts.draws, facts);
    for (const rule of facts.rules_applied ?? []) known.set(rule.rule, rule);
  } else now = facts;
  const line = byId("moved");
  const base = now && bases.get(now.draws);
  if (!left.length || !base) {
    line.hidden = true;
    return;
  }
  const titles = left.map((name) => known.get(name)?.title ?? name).join("; ");
  const parts = moved(base, now);
  const effects = left.map((name) => known.get(name)?.effect).filter(Boolean);
  if (effects.length) parts.push(say("because", effects.join("; ")));
  line.replaceChildren(...linked(`${say("without", titles)} ${parts.join(" ")}`));
  line.hidden = false;
}

/** What moved, in sentences: the day as likely as not; where it lies behind the horizon the chance and P10 before it. */
function moved(base, after) {
  const [was, is] = [base, after].map((each) => each.launch ?? {});
  const parts = [];
  if (was.p50 && is.p50) parts.push(say("p50", is.p50, shift(was.p50, is.p50), was.p50));
  const chance = say("by_horizon", share(is.probability_by_horizon ?? 0), after.horizon, share(was.probability_by_horizon ?? 0));
  if (!parts.length || was.probability_by_horizon !== is.probability_by_horizon) parts.push(chance);
  if (was.p50 && is.p50) return parts;
  parts.push(was.p50 || is.p50 ? say("p50_behind", late(is.p50, after), late(was.p50, base)) : say("p50_stays", late(null, after)));
  if (was.p10 && is.p10) parts.push(say("p10", is.p10, shift(was.p10, is.p10), was.p10));
  return parts;
}

/** A day, or where it lies when it is not within the horizon. */
const late = (day, facts) => day ?? ((facts.launch?.probability_never ?? 0) > 0.5 ? say("never") : say("after", facts.horizon));

function shift(before, after) {
  const days = Math.round((Date.parse(after) - Date.parse(before)) / 86_400_000);
  return days === 0 ? say("same") : days < 0 ? say("earlier", -days) : say("later", days);
}
