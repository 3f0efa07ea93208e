// One question at a time: its lines as they come, and how to stop it.
let under = null;

/** Stops what is asked. */
export const cancel = () => under?.abort();

/** Asks; `heard` gets each line. Returns false if it was stopped by a later question or by hand. */
export async function ask(question, heard) {
  cancel();
  const mine = new AbortController();
  under = mine;
  try {
    const response = await fetch("/api/ask", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(question),
      signal: mine.signal,
    });
    const kind = response.headers.get("content-type") ?? "";
    if (kind.startsWith("application/json")) heard({ kind: "wrong", ...(await response.json()) });
    else if (!response.ok) heard({ kind: "wrong", errors: [{ text: await response.text() }] });
    else await lines(response.body, (line) => under === mine && heard(line));
  } catch (error) {
    if (error.name === "AbortError") {
      if (under === mine) heard({ kind: "refused", why: "cancelled" });
      return false;
    }
    heard({ kind: "refused", why: "offline" });
  } finally {
    if (under === mine) under = null;
  }
  return true;
}

async function lines(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) heard(JSON.parse(part));
  }
}
