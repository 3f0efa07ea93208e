// Addresses and ids of rules in a text, as links; dates that are not broken over two lines.
import { make } from "./words.js";

const FOUND = /(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:])|\b([a-z]{2}_\d{4}_\d\d(?:_[a-z0-9]+)+)\b|(\d{4}-\d\d-\d\d)/g;

/** The parts of a text: words, and elements. Never HTML. */
export function linked(text) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(FOUND)) {
    const [whole, address, rule] = found;
    parts.push(text.slice(last, found.index));
    if (address) parts.push(make("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, address));
    else if (rule) parts.push(make("a", { href: `/catalogue?what=${rule}` }, rule));
    else parts.push(make("span", { class: "date" }, whole));
    last = found.index + whole.length;
  }
  return [...parts, text.slice(last)].filter((part) => part !== "");
}
