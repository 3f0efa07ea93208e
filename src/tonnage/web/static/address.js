// The state of the page in its address: what is not as usual, and an edited programme, packed, behind the #.
import { state, byId } from "./words.js";

const LIMIT = 1_000_000;

/** Values of the form, by name; what is empty or off is "". */
export function values() {
  const found = {};
  for (const element of byId("form").elements) {
    if (!element.name) continue;
    found[element.name] = element.type === "checkbox" ? (element.checked ? "1" : "") : element.value.trim();
  }
  return found;
}

/** Of values, those that are not as usual. */
export const unusual = (given) =>
  Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== (state.usual[name] ?? "")));

/** Puts values into the address; a step back leads to what was asked before. */
export async function remember(given, programme, push) {
  const query = new URLSearchParams(unusual(given)).toString();
  const hash = programme == null ? "" : `#p=${await packed(programme)}`;
  const to = location.pathname + (query ? `?${query}` : "") + hash;
  if (to === location.pathname + location.search + location.hash) return;
  history[push ? "pushState" : "replaceState"](null, "", to);
}

/** The programme that the address holds, if it holds one. */
export async function held() {
  const found = /^#p=([\w-]+)$/.exec(location.hash);
  if (!found) return null;
  try {
    return await unpacked(found[1]);
  } catch {
    return null;
  }
}

/** Puts what the address says into the form. */
export function restore() {
  const given = new URLSearchParams(location.search);
  for (const element of byId("form").elements) {
    if (!element.name) continue;
    const value = given.get(element.name) ?? state.usual[element.name] ?? "";
    if (element.type === "checkbox") element.checked = value === "1";
    else if (element.tagName !== "SELECT" || [...element.options].some((option) => option.value === value)) element.value = value;
  }
}

async function packed(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  for (let size = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > LIMIT) throw new Error("too long");
    parts.push(value);
  }
  return new Blob(parts).text();
}
