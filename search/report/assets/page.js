"use strict";
// Charts in the page's colours, sortable tables, commands that copy themselves. No library but plotly, nothing fetched.

const FIGURES = JSON.parse(document.getElementById("figures").textContent);
const DARK = matchMedia("(prefers-color-scheme: dark)");

// Each text of a trace is said once, with the points that have it.
for (const { data } of Object.values(FIGURES)) {
  for (const trace of data) {
    if (trace.text?.words) trace.text = trace.text.of.map((at) => trace.text.words[at]);
  }
}

// A figure names colours as `var(--ink)`; plotly wants them said.
function coloured(value, style) {
  if (typeof value === "string") {
    const named = /^var\((--[\w-]+)\)$/.exec(value);
    return named ? style.getPropertyValue(named[1]).trim() : value;
  }
  if (Array.isArray(value)) return value.map((item) => coloured(item, style));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
}

function drawCharts() {
  const style = getComputedStyle(document.documentElement);
  const coarse = matchMedia("(pointer: coarse)").matches;
  for (const place of document.querySelectorAll("[data-figure]")) {
    const { data, layout } = coloured(FIGURES[place.dataset.figure], style);
    layout.dragmode = coarse ? false : "zoom"; // a finger scrolls the page
    Plotly.react(place, data, layout, { responsive: true, displayModeBar: false });
  }
}
DARK.addEventListener("change", drawCharts);

function value(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const figure = cell.classList.contains("num") ? Number(text.replace("−", "-").replace(/,/g, "")) : NaN;
  return { text, figure, none: text === "" || text === "–" };
}

// Numbers before words; what is not there stays last, whichever way the column is sorted.
function sortBy(table, heading, column) {
  const falling = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, ...value(row, column) }));
  const way = falling ? -1 : 1;
  rows.sort((a, b) => {
    if (a.none !== b.none) return a.none ? 1 : -1;
    if (!Number.isNaN(a.figure) && !Number.isNaN(b.figure)) return way * (a.figure - b.figure);
    return way * a.text.localeCompare(b.text, "en", { numeric: true });
  });
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sortBy(table, heading, column));
  });
}

for (const code of document.querySelectorAll(".command code")) {
  if (!navigator.clipboard) break; // a click on the command selects it as a whole
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${code.textContent}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  code.after(button);
}
