"use strict";
// Draws the charts of a report, changes its theme, and saves what it holds. Nothing is asked for outside the file.
(() => {
  const root = document.documentElement;
  const read = (id) => { const held = document.getElementById(id); return held ? JSON.parse(held.textContent) : null; };
  const held = read("charts") || { charts: [], themes: {} };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const views = [];

  const save = (name, kind, content) => {
    const link = document.createElement("a");
    link.download = name;
    link.href = URL.createObjectURL(new Blob([content], { type: kind }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  const draw = () => held.charts.forEach((chart, index) => {
    const spec = { ...chart.spec };
    delete spec.title;
    const options = { config: held.themes[theme()], ast: true, actions: false, renderer: "svg", tooltip: { theme: theme() } };
    vegaEmbed(`#chart-${index}`, spec, options).then((result) => {
      if (views[index]) views[index].finalize();
      views[index] = result.view;
      return settled(result.view, document.getElementById(`chart-${index}`));
    });
  });

  // A legend folds once the width is known, and needs a round more for each fold before the chart has its height.
  const settled = async (view, plot) => {
    for (let round = 0, before = null; round < 4; round++) {
      await view.resize().runAsync();
      const svg = plot.querySelector("svg");
      const height = svg && svg.getAttribute("height");
      if (height === before) return;
      before = height;
    }
  };

  const cell = (value) => `"${String(value ?? "").replaceAll('"', '""').replace(/^([=+\-@\t|%])/, "'$1")}"`;
  const rows = (spec) => [spec, ...(spec.layer || [])].filter((part) => !(part.mark && part.mark.aria === false)).flatMap((part) => (part.data && part.data.values) || []);
  const csv = (list) => {
    const names = [...new Set(list.flatMap((row) => Object.keys(row)))];
    return [names, ...list.map((row) => names.map((name) => row[name]))]
      .map((line) => line.map((value) => (typeof value === "number" ? value : cell(value))).join(",")).join("\n") + "\n";
  };
  const pictures = {
    SVG: (view, chart) => view.toSVG().then((text) => save(`${chart.name}.svg`, "image/svg+xml", text)),
    PNG: (view, chart) => view.toCanvas(2).then((canvas) => canvas.toBlob((blob) => save(`${chart.name}.png`, "image/png", blob))),
    CSV: (view, chart) => save(`${chart.name}.csv`, "text/csv", csv(rows(chart.spec))),
  };

  document.querySelectorAll(".tools").forEach((place) => {
    const index = Number(place.dataset.chart);
    Object.entries(pictures).forEach(([name, make]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-label", `save ${held.charts[index].title} as ${name}`);
      button.addEventListener("click", () => views[index] && make(views[index], held.charts[index]));
      place.append(button, " ");
    });
  });

  const answer = document.getElementById("answer");
  const keep = document.getElementById("save");
  if (answer && keep) {
    keep.hidden = false;
    keep.addEventListener("click", () => save("answer.json", "application/json", answer.textContent));
  }
  const change = document.getElementById("theme");
  change.hidden = false;
  change.addEventListener("click", () => { root.dataset.theme = theme() === "dark" ? "light" : "dark"; draw(); });
  dark.addEventListener("change", draw);
  draw();
})();
