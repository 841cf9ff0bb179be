// What a report does when it is clicked: a table is sorted, a cell of the matrix shows its images.
"use strict";

(() => {
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const ascending = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        const value = (row) => row.cells[column].dataset.value;
        const compare = head.classList.contains("number")
          ? (a, b) => Number(value(a)) - Number(value(b))
          : (a, b) => value(a).localeCompare(value(b), undefined, { numeric: true });
        // What has no value, such as the recall of a class without images, stays last.
        const missing = (row) => value(row) === "";
        const rows = [...table.tBodies[0].rows].sort(
          (a, b) => missing(a) - missing(b) || (ascending ? 1 : -1) * compare(a, b) || a.dataset.place - b.dataset.place,
        );
        table.tBodies[0].append(...rows);
      });
    });
  }

  const data = document.getElementById("cells");
  const panel = document.getElementById("cell");
  if (!data || !panel) return;
  const { classes, cells } = JSON.parse(data.textContent);

  const element = (tag, content, className) => {
    const made = document.createElement(tag);
    if (content) made.textContent = content;
    if (className) made.className = className;
    return made;
  };

  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  const figure = ([number, path, confidence]) => {
    const made = element("figure");
    const picture = element("span", number === null ? "gone" : "", number === null ? "thumb" : `thumb i${number}`);
    const caption = element("figcaption");
    const name = element("span", path.slice(path.lastIndexOf("/") + 1));
    name.title = path;
    caption.append(element("b", percent(confidence)), element("br"), name);
    made.append(picture, caption);
    return made;
  };

  const hide = () => {
    panel.replaceChildren();
    document.querySelectorAll(".matrix .chosen").forEach((cell) => cell.classList.remove("chosen"));
  };

  const show = (key) => {
    hide();
    const [count, images] = cells[key];
    const [label, guess] = key.split(",").map((number) => classes[number]);
    const words = label === guess ? `${label}, predicted rightly` : `${label} taken for ${guess}`;
    const grid = element("div", "", "cards");
    grid.append(...images.map(figure));
    const rest = count - images.length;
    const close = element("button", "close");
    close.type = "button";
    close.addEventListener("click", hide);
    panel.replaceChildren(
      element("h3", words),
      element("p", `${count.toLocaleString("en")} ${count === 1 ? "image" : "images"} `),
      grid,
      ...(rest ? [element("p", `and ${rest.toLocaleString("en")} more`)] : []),
    );
    panel.children[1].append(close);
    const square = document.querySelector(`.matrix [data-cell="${key}"]`);
    square.classList.add("chosen");
    return square;
  };

  document.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-cell]");
    if (!chosen) return;
    const square = show(chosen.dataset.cell);
    if (square !== chosen) square.scrollIntoView({ block: "center", inline: "center" });
  });

  // Names of a cell are shown when one points at it.
  const hint = document.getElementById("hint");
  const first = hint.textContent;
  document.querySelector(".matrix").addEventListener("mouseover", (event) => {
    const key = event.target.dataset.cell;
    if (!key) return;
    const [label, guess] = key.split(",").map((number) => classes[number]);
    hint.textContent = `${label} → ${guess}: ${cells[key][0].toLocaleString("en")}`;
  });
  document.querySelector(".matrix").addEventListener("mouseleave", () => {
    hint.textContent = first;
  });
})();
