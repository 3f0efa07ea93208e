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
    base = facts;
    for (const rule of facts.rules_applied ?? []) known.set(rule.rule, rule);
  } else now = facts;
  const line = byId("moved");
  if (!left.length || !base || !now || base.draws !== now.draws) {
    line.hidden = true;
    return;
  }
  const titles = left.map((name) => known.get(name)?.title ?? name).join("; ");
  const before = base.launch?.p50;
  const after = now.launch?.p50;
  const parts = [say("without", titles, after ?? say("never"), shift(before, after), before ?? say("never"))];
  const effects = left.map((name) => known.get(name)?.effect).filter(Boolean);
  if (effects.length) parts.push(say("because", effects.join("; ")));
  const [was, is] = [base, now].map((each) => each.launch?.probability_by_horizon);
  if (was != null && is != null && was !== is) parts.push(say("by_horizon", share(is), share(was)));
  line.replaceChildren(...linked(parts.join(" ")));
  line.hidden = false;
}

function shift(before, after) {
  if (!before || !after) return before === after ? say("same") : after ? say("earlier", "?") : say("later", "?");
  const days = Math.round((Date.parse(after) - Date.parse(before)) / 86_400_000);
  return days === 0 ? say("same") : days < 0 ? say("earlier", -days) : say("later", days);
}
