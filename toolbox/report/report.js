"use strict";
// The network of the page's address, report.html#KEY, is shown in the panel.  What is written comes
// as text, never as HTML.
const networks = JSON.parse(document.getElementById("networks").textContent);
const { opened, all } = JSON.parse(document.getElementById("explored").textContent);
const root = document.documentElement;

function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return Object.assign(made, attributes);
}

function table(rows, head) {
  const made = element("table");
  for (const [number, cells] of rows.entries()) {
    const row = made.appendChild(element("tr"));
    for (const [column, text] of cells.entries())
      row.appendChild(element((head && number === 0) || column === 0 ? "th" : "td", text));
  }
  return made;
}

function facts(rows) {
  const made = table(rows.map(([label, said]) => [label, said]));
  for (const [place, row] of rows.entries()) made.rows[place].title = row[2];
  return made;
}

function show(key) {
  const network = networks[key];
  const place = document.getElementById("opened");
  place.replaceChildren(element("h3", network.architecture));
  place.appendChild(facts(network.facts));
  if (network.layers.length) {
    place.appendChild(element("h3", "Layers"));
    place.appendChild(table([["layer", "output", "parameters"], ...network.layers], true));
  }
  place.hidden = false;
  for (const chosen of document.querySelectorAll("svg a.chosen")) chosen.classList.remove("chosen");
  for (const point of document.querySelectorAll(`svg a[href="#${CSS.escape(key)}"]`))
    point.classList.add("chosen");
}

function showAddressed() {
  const key = decodeURIComponent(location.hash.slice(1));
  if (Object.hasOwn(networks, key)) show(key);
  else if (Object.hasOwn(networks, opened)) show(opened);
}

// A point is no place to scroll to, but where the panel lies below the page, it is.
function open(key) {
  history.replaceState(null, "", `#${key}`);
  show(key);
  if (matchMedia("(max-width: 1000px)").matches)
    document.getElementById("panel").scrollIntoView({ behavior: "smooth" });
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const target = link && link.getAttribute("href");
  if (!target || !Object.hasOwn(networks, target.slice(1))) return;
  event.preventDefault();
  open(target.slice(1));
});
addEventListener("hashchange", showAddressed);

// Tables: a head sorts its column, the best guess of a reader first; a field filters the rows.
for (const head of document.querySelectorAll("table.sortable th"))
  head.firstChild.addEventListener("click", () => {
    const column = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [one, other] = [value(a), value(b)];
      if (one === "" || other === "") return (one === "") - (other === "");
      const order = one - other;
      return (up ? 1 : -1) * (Number.isNaN(order) ? one.localeCompare(other) : order);
    };
    body.append(...[...body.rows].sort(compare));
  });
for (const field of document.querySelectorAll("input.filter"))
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of field.nextElementSibling.querySelectorAll("tbody tr"))
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });

// All networks, in a plot that a person sets up.
function explore() {
  const canvas = document.getElementById("map");
  const form = document.getElementById("choices");
  const count = all.key.length;
  const order = { name: "order", label: "order of becoming known", scale: 1, unit: "" };
  const columns = new Map([...all.columns, order].map((column) => [column.name, column]));
  const values = { ...all.values, order: Array.from({ length: count }, (_, place) => place + 1) };
  const chosen = { x: all.x, y: all.y, colour: all.colour };
  const bounds = new Map(); // the worst that is shown, by the name of a column
  let view = null; // [x0, x1, y0, y1] as shares of all, when zoomed in
  let points = []; // [place, x, y] of what is drawn
  let drag = null;

  function said(name, value) {
    const { scale, unit, percent } = columns.get(name);
    if (value === null || value === undefined) return "";
    if (percent) return `${(100 * value).toFixed(2)} %`;
    const number = value * scale;
    const digits = Number.isInteger(number) ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
    return `${number.toLocaleString("en-US", digits)} ${unit}`.trim();
  }

  function select(label, key, names) {
    const box = form.appendChild(element("label", label));
    const made = box.appendChild(element("select"));
    for (const name of names)
      made.appendChild(element("option", columns.get(name)?.label ?? "run", { value: name }));
    made.value = chosen[key];
    made.addEventListener("change", () => { chosen[key] = made.value; view = null; draw(); });
  }

  function slider(column) {
    const sorted = [...new Set(values[column.name].filter((value) => value !== null))];
    sorted.sort((a, b) => (column.maximize ? b - a : a - b)); // the best first
    if (sorted.length < 2) return;
    const box = form.appendChild(element("label"));
    const text = box.appendChild(element("span", `${column.label.replace(/ \(.*\)$/, "")} ${column.maximize ? "at least" : "at most"} `));
    const output = text.appendChild(element("output"));
    const made = box.appendChild(element("input", undefined, { type: "range", min: 0, max: sorted.length - 1, value: sorted.length - 1 }));
    const moved = () => {
      const limit = sorted[made.value];
      output.textContent = said(column.name, limit);
      if (+made.value === sorted.length - 1) bounds.delete(column.name);
      else bounds.set(column.name, limit);
    };
    made.addEventListener("input", () => { moved(); draw(); });
    moved();
  }

  const within = (place) => [...bounds].every(([name, limit]) => {
    const value = values[name][place];
    return value !== null && (columns.get(name).maximize ? value >= limit : value <= limit);
  });

  function scale(name, places) {
    const known = places.map((place) => values[name][place]);
    const low = known.reduce((a, b) => Math.min(a, b), Infinity);
    const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
    const log = low > 0 && high / low > 8 && !columns.get(name).percent;
    const to = log ? Math.log10 : (value) => value;
    const from = log ? (value) => 10 ** value : (value) => value;
    const span = to(high) - to(low) || 1;
    return { log, share: (value) => (to(value) - to(low)) / span, value: (share) => from(to(low) + share * span) };
  }

  function ticks(one, from, to) {
    const [low, high] = [one.value(from), one.value(to)];
    const found = [];
    if (one.log && high / low > 8) {
      const steps = high / low > 1000 ? [1] : [1, 2, 5];
      for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
        for (const step of steps) found.push(step * 10 ** power);
    } else {
      const rough = (high - low) / 5 || 1;
      const size = 10 ** Math.floor(Math.log10(rough));
      const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough * 0.999);
      for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n++) found.push(n * step);
    }
    return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  }

  function short(name, value) {
    const { scale: factor, percent } = columns.get(name);
    if (percent) return `${+(100 * value).toPrecision(4)} %`;
    const number = value * factor;
    for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (Math.abs(number) >= size) return `${+(number / size).toPrecision(4)}${letter}`;
    return `${+number.toPrecision(4)}`;
  }

  // Viridis, from little to much.
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  function ramp(share) {
    const at = Math.min(3.999, Math.max(0, share) * 4);
    const [one, other] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
    return `rgb(${one.map((part, i) => Math.round(part + (at % 1) * (other[i] - part)))})`;
  }

  function draw() {
    const style = getComputedStyle(root);
    const theme = (name) => style.getPropertyValue(name).trim();
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    const box = { left: 62, right: width - 14, top: 34, bottom: height - 42 };
    const { x, y, colour } = chosen;
    const drawn = all.key.map((_, place) => place).filter((place) => values[x][place] !== null && values[y][place] !== null);
    const shown = drawn.filter(within);
    const fronts = shown.filter((place) => all.front[place]).length;
    document.getElementById("count").textContent =
      `${shown.length.toLocaleString("en-US")} of ${count.toLocaleString("en-US")} networks` +
      (all.front.includes(1) ? `, ${fronts} of them on the front (ringed)` : "") + (view ? "; zoomed in, double-click to see all" : "");
    list(shown);
    points = [];
    if (!drawn.length) return;
    const [across, up] = [scale(x, drawn), scale(y, drawn)];
    const [x0, x1, y0, y1] = view ?? [-0.03, 1.03, -0.04, 1.04];
    const px = (share) => box.left + ((share - x0) / (x1 - x0)) * (box.right - box.left);
    const py = (share) => box.bottom - ((share - y0) / (y1 - y0)) * (box.bottom - box.top);
    Object.assign(canvas, { toShares: (cx, cy) => [x0 + ((cx - box.left) / (box.right - box.left)) * (x1 - x0), y0 + ((box.bottom - cy) / (box.bottom - box.top)) * (y1 - y0)] });
    pen.strokeStyle = theme("--grid");
    pen.fillStyle = theme("--soft");
    pen.textAlign = "center";
    let free = -Infinity;
    for (const value of ticks(across, x0, x1)) {
      const at = px(across.share(value));
      pen.beginPath(); pen.moveTo(at, box.top); pen.lineTo(at, box.bottom); pen.stroke();
      const text = short(x, value);
      const half = pen.measureText(text).width / 2;
      if (at - half > free) { pen.fillText(text, at, box.bottom + 16); free = at + half + 6; }
    }
    pen.textAlign = "right";
    for (const value of ticks(up, y0, y1)) {
      const at = py(up.share(value));
      pen.beginPath(); pen.moveTo(box.left, at); pen.lineTo(box.right, at); pen.stroke();
      pen.fillText(short(y, value), box.left - 6, at + 4);
    }
    pen.fillStyle = theme("--ink");
    pen.textAlign = "center";
    pen.fillText(columns.get(x).label, (box.left + box.right) / 2, height - 8);
    pen.textAlign = "left";
    pen.fillText(columns.get(y).label, 4, 12);
    const byRun = colour === "run";
    const known = byRun ? [] : shown.filter((place) => values[colour][place] !== null);
    const tone = byRun ? null : scale(colour, known.length ? known : drawn);
    const paint = (place) => {
      if (byRun) return theme(`--c${all.run[place] % 7}`);
      const value = values[colour][place];
      return value === null ? theme("--faint") : ramp(tone.share(value));
    };
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top - 8, box.right - box.left + 8, box.bottom - box.top + 16);
    pen.clip();
    const size = shown.length > 2000 ? 2 : 4;
    shown.sort((a, b) => all.front[a] - all.front[b]);
    for (const place of shown) {
      const at = [px(across.share(values[x][place])), py(up.share(values[y][place]))];
      points.push([place, ...at]);
      pen.beginPath();
      pen.arc(...at, all.front[place] ? 5.5 : size, 0, 7);
      pen.globalAlpha = all.front[place] ? 1 : 0.7;
      pen.fillStyle = paint(place);
      pen.fill();
      if (all.front[place]) { pen.strokeStyle = theme("--ink"); pen.lineWidth = 1.2; pen.stroke(); pen.lineWidth = 1; }
    }
    pen.restore();
    pen.globalAlpha = 1;
    legend(pen, theme, box, byRun, known, tone);
    if (drag?.to) {
      pen.strokeStyle = theme("--accent");
      pen.strokeRect(drag.from[0], drag.from[1], drag.to[0] - drag.from[0], drag.to[1] - drag.from[1]);
    }
  }

  function legend(pen, theme, box, byRun, known, tone) {
    pen.textAlign = "right";
    let at = box.right;
    if (byRun) {
      for (let number = all.runs.length - 1; number >= 0; number--) {
        pen.fillStyle = theme("--ink");
        pen.fillText(all.runs[number], at, 12);
        at -= pen.measureText(all.runs[number]).width + 10;
        pen.fillStyle = theme(`--c${number % 7}`);
        pen.beginPath(); pen.arc(at, 8, 4, 0, 7); pen.fill();
        at -= 14;
      }
    } else if (known.length) {
      const [low, high] = [short(chosen.colour, tone.value(0)), short(chosen.colour, tone.value(1))];
      pen.fillStyle = theme("--ink");
      pen.fillText(high, at, 28);
      at -= pen.measureText(high).width + 6;
      for (let step = 0; step < 80; step++) { pen.fillStyle = ramp(1 - step / 80); pen.fillRect(at - step - 1, 19, 1.5, 9); }
      pen.fillStyle = theme("--ink");
      pen.fillText(low, at - 86, 28);
      pen.fillText(columns.get(chosen.colour).label, box.right, 12);
    }
  }

  function list(shown) {
    const made = document.getElementById("within");
    const names = [...new Set([chosen.y, chosen.x, chosen.colour, ...all.objectives])].filter((name) => name !== "run");
    const better = columns.get(chosen.y).maximize ? -1 : 1;
    const best = [...shown].sort((a, b) => better * (values[chosen.y][a] - values[chosen.y][b])).slice(0, 10);
    const head = element("tr");
    for (const name of names) head.appendChild(element("th", columns.get(name).label.replace(/ \(.*\)$/, "")));
    head.appendChild(element("th", "architecture", { className: "text" }));
    made.tHead.replaceChildren(head);
    made.tBodies[0].replaceChildren(...best.map((place) => {
      const row = element("tr");
      for (const name of names) row.appendChild(element("td", said(name, values[name][place])));
      const cell = row.appendChild(element("td", undefined, { className: "text" }));
      const link = cell.appendChild(element("a", all.architecture[place], { href: `#${all.key[place]}` }));
      link.addEventListener("click", (event) => { event.preventDefault(); event.stopPropagation(); openPlace(place); });
      return row;
    }));
  }

  // A network that no other plot or table opens is told by its columns.
  function openPlace(place) {
    const key = all.key[place];
    if (!Object.hasOwn(networks, key)) {
      const rows = all.columns.map(({ name, label }) => [label.replace(/ \(.*\)$/, ""), said(name, values[name][place]), name]);
      rows.unshift(["run", all.runs[all.run[place]], ""]);
      networks[key] = { architecture: all.architecture[place], facts: [...rows, ["key", key, ""]], layers: [] };
    }
    open(key);
  }

  function near(x, y) {
    let [best, least] = [null, 12 ** 2];
    for (const [place, px, py] of points) {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance <= least) [best, least] = [place, distance];
    }
    return best;
  }

  const at = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener("pointerdown", (event) => { drag = { from: at(event) }; });
  canvas.addEventListener("pointermove", (event) => {
    const place = near(...at(event));
    canvas.title = place === null ? "" : all.architecture[place];
    if (!drag || event.pointerType === "touch") return;
    drag.to = at(event);
    draw();
  });
  addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { from, to } = drag;
    drag = null;
    if (to && Math.abs(to[0] - from[0]) > 8 && Math.abs(to[1] - from[1]) > 8) {
      const [one, other] = [canvas.toShares(...from), canvas.toShares(...to)];
      view = [Math.min(one[0], other[0]), Math.max(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[1], other[1])];
    } else if (event.target === canvas) {
      const place = near(...at(event));
      if (place !== null) openPlace(place);
    }
    draw();
  });
  canvas.addEventListener("dblclick", () => { view = null; draw(); });

  const names = [...columns.keys()];
  select("upright", "y", names);
  select("across", "x", names);
  select("colour", "colour", all.runs.length > 1 ? ["run", ...names] : names);
  const costs = ["val_accuracy", "params", "macs", "latency_seconds"].filter((name) => name in all.values);
  for (const name of new Set([...all.objectives, ...costs])) slider(columns.get(name));
  addEventListener("resize", draw);
  document.getElementById("theme").addEventListener("click", draw);
  draw();
}

const theme = document.getElementById("theme");
const name = () => { theme.textContent = root.dataset.theme === "dark" ? "light" : "dark"; };
theme.addEventListener("click", () => { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; name(); });
name();
if (all.key) explore();
showAddressed();
