// Searching, choosing and sorting the differences. The page says all without it.
"use strict";
(() => {
  const rows = [...document.querySelectorAll("tbody.difference")];
  const tools = document.querySelector(".tools");
  if (!rows.length || !tools) return;
  const table = rows[0].parentNode;
  const find = document.getElementById("find");
  const cause = document.getElementById("cause");
  const only = document.getElementById("only");
  const told = document.getElementById("told");
  const texts = new Map();
  let group = null; // what was chosen in a table of groups: its attribute, its number and its name

  const textOf = (row) => {
    if (!texts.has(row)) texts.set(row, row.textContent.toLowerCase());
    return texts.get(row);
  };
  const holds = (row, name, value) => (row.dataset[name] || "").split(" ").includes(value);

  const show = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    for (const row of rows) {
      const hit =
        (!cause.value || holds(row, "causes", cause.value)) &&
        (!group || holds(row, group.by, group.number)) &&
        words.every((word) => textOf(row).includes(word));
      row.hidden = !hit;
      seen += hit;
    }
    only.hidden = !group;
    only.textContent = group ? `Only ${group.name} ✕` : "";
    told.textContent = `${seen.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };

  const sort = (button) => {
    const head = button.closest("th");
    const turn = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", turn < 0 ? "descending" : "ascending");
    const key = button.dataset.key;
    // Only the order comes from these numbers; what is shown is never computed here.
    const value = (row) => (key === "name" ? textOf(row) : Math.abs(Number(row.dataset[key])));
    const keyed = rows.map((row, at) => [value(row), at, row]);
    keyed.sort((a, b) => (a[0] < b[0] ? -turn : a[0] > b[0] ? turn : a[1] - b[1]));
    for (const [, , row] of keyed) table.append(row);
  };

  tools.hidden = false;
  find.addEventListener("input", show);
  cause.addEventListener("change", show);
  only.addEventListener("click", () => {
    group = null;
    show();
    find.focus();
  });
  document.getElementById("open").addEventListener("click", () => {
    for (const row of rows) if (!row.hidden) row.querySelector("details").open = true;
  });
  for (const button of table.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button));
  for (const link of document.querySelectorAll("a[data-by]"))
    link.addEventListener("click", (event) => {
      event.preventDefault();
      find.value = "";
      const { by, number, name } = link.dataset;
      cause.value = by === "causes" ? number : "";
      group = by === "causes" ? null : { by, number, name };
      show();
      const heading = document.getElementById("differences");
      heading.focus({ preventScroll: true });
      heading.scrollIntoView();
    });
  show();
})();
