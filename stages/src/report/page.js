"use strict";
(() => {
  const root = document.documentElement;

  // Dark or light, against what the system says.
  const theme = document.getElementById("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const chosen = root.dataset.theme;
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // Tables: a click on a head sorts, a second one turns the order round; what is unknown stays last.
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const downFirst = head.classList.contains("number");
        const order = head.getAttribute("aria-sort");
        const down = order ? order === "ascending" : downFirst;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => {
          const cell = row.cells[column];
          if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
          return head.classList.contains("number") ? null : cell.textContent;
        };
        const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : down ? compare(b, a) : compare(a, b)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  // Figures: values on hover, on touch and on focus.
  const tip = document.getElementById("tip");
  const name = (shape) => {
    const title = shape.querySelector(":scope > title");
    if (!title) return;
    if (shape.tagName === "svg") shape.setAttribute("aria-label", title.textContent);
    else shape.dataset.tip = title.textContent;
    title.remove();
  };
  for (const svg of document.querySelectorAll("figure svg")) {
    name(svg);
    svg.querySelectorAll("*").forEach(name);
  }
  const show = (event) => {
    const shape = event.target.closest?.("[data-tip]");
    tip.hidden = !shape;
    if (!shape) return;
    tip.textContent = shape.dataset.tip;
    const home = shape.closest("dialog") ?? document.body;
    if (tip.parentNode !== home) home.append(tip);
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);

  // Figures: enlarged in a dialog; the wheel zooms, dragging moves.
  const dialog = document.getElementById("zoom");
  const stage = dialog.querySelector(".picture");
  let whole, view;
  const look = () => stage.firstElementChild.setAttribute("viewBox", [view.x, view.y, view.w, view.h].join(" "));
  const zoom = (factor, x = view.x + view.w / 2, y = view.y + view.h / 2) => {
    const w = Math.min(whole.w * 1.2, Math.max(whole.w / 40, view.w * factor));
    const real = w / view.w;
    view = { x: x - (x - view.x) * real, y: y - (y - view.y) * real, w, h: view.h * real };
    look();
  };
  const place = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.firstElementChild.getScreenCTM().inverse());
    return [at.x, at.y];
  };
  for (const figure of document.querySelectorAll("figure")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "enlarge";
    button.setAttribute("aria-label", `enlarge: ${figure.getAttribute("aria-label")}`);
    figure.append(button);
    button.addEventListener("click", () => {
      const copy = figure.querySelector("svg").cloneNode(true);
      const [x, y, w, h] = copy.getAttribute("viewBox").split(" ").map(Number);
      whole = { x, y, w, h };
      view = { ...whole };
      stage.replaceChildren(copy);
      dialog.showModal();
    });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, ...place(event));
  }, { passive: false });
  let held = null;
  stage.addEventListener("pointerdown", (event) => { held = place(event); stage.setPointerCapture(event.pointerId); });
  stage.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [x, y] = place(event);
    view.x += held[0] - x;
    view.y += held[1] - y;
    look();
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { held = null; });
  dialog.addEventListener("click", (event) => {
    const what = event.target.dataset?.zoom;
    if (what === "in") zoom(1 / 1.4);
    if (what === "out") zoom(1.4);
    if (what === "all") { view = { ...whole }; look(); }
  });

  root.dataset.ready = "yes";
})();
