"use strict";
// The network of the page's address, report.html#KEY, is shown in the panel.  What is written comes
// as text, never as HTML.
let networks, opened, all, curves;
const root = document.documentElement;

function take(page) {
  const told = (id) => JSON.parse(page.getElementById(id).textContent);
  networks = told("networks");
  ({ opened, all, curves } = told("explored"));
}
take(document);

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

let explored = null; // the plot of all networks
let shown = ""; // the key of the network in the panel
function show(key) {
  const network = networks[key];
  const place = document.getElementById("opened");
  shown = key;
  place.replaceChildren(element("h3", network.architecture));
  place.appendChild(facts(network.facts));
  if (curves.of?.[key]) place.appendChild(element("h3", "Learning curve"));
  for (const named of curves.of?.[key] ? curves.names.filter(({ name }) => name in curves.of[key]) : []) {
    place.hidden = false; // a canvas that is not shown has no size
    const canvas = place.appendChild(element("canvas", undefined, { className: "curve" }));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${named.label}, epoch by epoch`);
    drawCurves(canvas, named, [key]);
  }
  if (network.layers.length) {
    place.appendChild(element("h3", "Layers"));
    place.appendChild(table([["layer", "output", "parameters"], ...network.layers], true));
  }
  place.hidden = false;
  for (const chosen of document.querySelectorAll("svg a.chosen")) chosen.classList.remove("chosen");
  for (const point of document.querySelectorAll(`svg a[href="#${CSS.escape(key)}"]`))
    point.classList.add("chosen");
  drawBand();
}

// Whether a network can be shown: one that no plot or table opens is told by its columns.
function known(key) {
  if (Object.hasOwn(networks, key)) return true;
  const place = key ? (all.key ?? []).indexOf(key) : -1;
  if (place < 0 || !explored) return false;
  networks[key] = explored.told(place);
  return true;
}

function showAddressed() {
  const key = decodeURIComponent(location.hash.slice(1));
  if (known(key)) show(key);
  else if (known(opened)) show(opened);
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
  if (!target?.startsWith("#") || !known(target.slice(1))) return;
  event.preventDefault();
  open(target.slice(1));
});
addEventListener("hashchange", showAddressed);

// Tables: a head sorts its column, the best guess of a reader first; a field filters the rows.
function sortBy(head, up) {
  const column = head.cellIndex;
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
}
function filterBy(field) {
  const wanted = field.value.toLowerCase();
  for (const row of field.nextElementSibling.querySelectorAll("tbody tr"))
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
}
document.addEventListener("click", (event) => {
  const head = event.target.closest("table.sortable th");
  if (head) sortBy(head, head.getAttribute("aria-sort") !== "ascending");
});
document.addEventListener("input", (event) => {
  if (event.target.matches("input.filter")) filterBy(event.target);
});

// A number of a column, for a person: whole, or short along an axis.
function saidOf({ scale = 1, unit, percent }, value) {
  if (value === null || value === undefined) return "";
  if (percent) return `${(100 * value).toFixed(2)} %`;
  const number = value * scale;
  const digits = Number.isInteger(number) ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
  return `${number.toLocaleString("en-US", digits)} ${unit}`.trim();
}
// The same for a column of a table: all with the same number of decimals, if none vanishes by that.
function sayer(column, known) {
  const sizes = known.filter((value) => value).map((value) => Math.abs(value * (column.scale ?? 1)));
  const decimals = Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(Math.max(...sizes)))));
  const whole = sizes.every(Number.isInteger);
  if (column.percent || whole || Math.min(...sizes) < 0.5 * 10 ** -decimals) return (value) => saidOf(column, value);
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return (value) => (value === null ? "" : `${(value * (column.scale ?? 1)).toLocaleString("en-US", digits)} ${column.unit}`.trim());
}
function shortOf({ scale = 1, percent }, value) {
  if (percent) return `${+(100 * value).toPrecision(4)} %`;
  const number = value * scale;
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(number) >= size) return `${+(number / size).toPrecision(4)}${letter}`;
  return `${+number.toPrecision(4)}`;
}

function penOf(canvas) {
  const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "12px system-ui, sans-serif";
  const style = getComputedStyle(root);
  const known = {};
  return [pen, width, height, (name) => (known[name] ??= style.getPropertyValue(name).trim())];
}

// Five or so round numbers from low to high.
function round(low, high) {
  const rough = (high - low) / 5 || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * [1, 2, 5, 10].find((factor) => factor * size >= rough * 0.999);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}

// One quantity of some learning curves, each a line, the network in the panel as the strongest.
const epochOf = (curve, place) => curve.epoch?.[place] ?? place + 1;
function drawCurves(canvas, named, keys) {
  const [pen, width, height, theme] = penOf(canvas);
  const lines = keys.map((key) => [key, curves.of[key]]).filter(([, curve]) => named.name in curve);
  let [low, high, last] = [Infinity, -Infinity, 1];
  for (const [, curve] of lines) {
    for (const value of curve[named.name]) { low = Math.min(low, value); high = Math.max(high, value); }
    last = Math.max(last, epochOf(curve, curve[named.name].length - 1));
  }
  if (!lines.length) return [];
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  const box = { left: 52, right: width - 12, top: 24, bottom: height - 34 };
  const px = (epoch) => box.left + (last > 1 ? (epoch - 1) / (last - 1) : 0.5) * (box.right - box.left);
  const py = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
  pen.strokeStyle = theme("--grid");
  pen.fillStyle = theme("--soft");
  pen.textAlign = "right";
  for (const value of round(low, high)) {
    pen.beginPath(); pen.moveTo(box.left, py(value)); pen.lineTo(box.right, py(value)); pen.stroke();
    pen.fillText(shortOf(named, value), box.left - 6, py(value) + 4);
  }
  pen.textAlign = "center";
  for (const epoch of round(1, last).filter(Number.isInteger)) pen.fillText(epoch, px(epoch), box.bottom + 15);
  pen.fillText("epoch", (box.left + box.right) / 2, height - 4);
  pen.textAlign = "left";
  pen.fillStyle = theme("--ink");
  pen.fillText(named.unit ? `${named.label} (${named.unit})` : named.label, 4, 13);
  const paths = lines.map(([key, curve]) => [key, curve[named.name].map((value, place) => [px(epochOf(curve, place)), py(value)])]);
  const draw = (points, colour, thick, alpha) => {
    Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: thick, globalAlpha: alpha });
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.stroke();
    if (points.length < 2) { pen.beginPath(); pen.arc(...points[0], thick + 1, 0, 7); pen.fill(); }
  };
  for (const [, points] of paths) draw(points, theme("--accent"), 1, Math.max(0.12, Math.min(0.6, 20 / paths.length)));
  for (const [key, points] of paths) if (key === shown) draw(points, theme("--c1"), 2.6, 1);
  pen.globalAlpha = 1;
  return paths;
}

let band = []; // [key, points] of what is drawn
let bandName = "";
function drawBand() {
  const canvas = document.getElementById("curves");
  if (!canvas) return;
  const form = document.getElementById("curve-choices");
  if (!form.firstChild) {
    const made = form.appendChild(element("label", "upright")).appendChild(element("select"));
    for (const { name, label } of curves.names) made.appendChild(element("option", label, { value: name }));
    // The last is what a network is judged by, where there are several.
    if (!curves.names.some(({ name }) => name === bandName)) bandName = curves.names.at(-1).name;
    made.value = bandName;
    made.addEventListener("change", () => { bandName = made.value; drawBand(); });
    canvas.addEventListener("click", (event) => {
      let [best, least] = ["", 12];
      for (const [key, points] of band)
        for (let n = 0; n < points.length; n++) {
          const [[x0, y0], [x1, y1]] = [points[Math.max(0, n - 1)], points[n]];
          const share = x1 > x0 ? Math.min(1, Math.max(0, (event.offsetX - x0) / (x1 - x0))) : 1;
          const far = Math.hypot(x0 + share * (x1 - x0) - event.offsetX, y0 + share * (y1 - y0) - event.offsetY);
          if (far < least) [best, least] = [key, far];
        }
      if (known(best)) open(best);
    });
  }
  band = drawCurves(canvas, curves.names.find(({ name }) => name === bandName), Object.keys(curves.of));
}

// All networks, in a plot that a person sets up.  What was set up stays when networks are added.
function explore() {
  const canvas = document.getElementById("map");
  const form = document.getElementById("choices");
  const chosen = { x: all.x, y: all.y, colour: all.colour };
  const bounds = new Map(); // the worst that is shown, by the name of a column
  const sliders = new Map();
  let columns, values; // by name
  let view = null; // the values [x0, x1, y0, y1] at the edges, when zoomed in
  let points = []; // [place, x, y] of what is drawn
  let drag = null;
  let due = 0;

  const said = (name, value) => saidOf(columns.get(name), value);
  const short = (name, value) => shortOf(columns.get(name), value);
  const plain = (name) => columns.get(name).label.replace(/ \(.*\)$/, "");

  function refresh() {
    const order = { name: "order", label: "order of becoming known", scale: 1, unit: "", linear: true };
    columns = new Map([...all.columns, order].map((column) => [column.name, column]));
    values = { ...all.values, order: Array.from(all.key, (_, place) => place + 1) };
    for (const key of ["x", "y"]) if (!columns.has(chosen[key])) chosen[key] = all[key];
    if (!columns.has(chosen.colour) && (chosen.colour !== "run" || all.runs.length < 2)) chosen.colour = all.colour;
    const names = [...columns.keys()];
    if (!form.firstChild) for (const [label, key] of [["upright", "y"], ["across", "x"], ["colour", "colour"]]) select(label, key);
    fill("y", names);
    fill("x", names);
    fill("colour", all.runs.length > 1 ? ["run", ...names] : names);
    const costs = ["val_accuracy", "params", "macs", "latency_seconds"].filter((name) => name in all.values);
    for (const name of new Set([...all.objectives, ...costs])) slider(columns.get(name));
    draw();
  }

  function select(label, key) {
    const made = form.appendChild(element("label", label)).appendChild(element("select", undefined, { id: `choose-${key}` }));
    made.addEventListener("change", () => { chosen[key] = made.value; view = null; draw(); });
  }

  function fill(key, names) {
    const made = document.getElementById(`choose-${key}`);
    if ([...made.options].map(({ value }) => value).join() !== names.join())
      made.replaceChildren(...names.map((name) => element("option", columns.get(name)?.label ?? "run", { value: name })));
    made.value = chosen[key];
  }

  // Its places are the different values, the best first, so that each step leaves out a network.
  function slider(column) {
    const { name, maximize } = column;
    const sorted = [...new Set(values[name].filter((value) => value !== null))];
    sorted.sort((a, b) => (maximize ? b - a : a - b));
    if (!sliders.has(name)) {
      if (sorted.length < 2) return;
      const box = form.appendChild(element("label"));
      const text = box.appendChild(element("span", `${plain(name)} ${maximize ? "at least" : "at most"} `));
      const output = text.appendChild(element("output"));
      const input = box.appendChild(element("input", undefined, { type: "range", min: 0, id: `bound-${name}` }));
      const one = { input, output, sorted };
      input.addEventListener("input", () => {
        const limit = one.sorted[input.value];
        if (+input.value === one.sorted.length - 1) bounds.delete(name);
        else bounds.set(name, limit);
        output.textContent = said(name, limit);
        draw();
      });
      sliders.set(name, one);
    }
    const one = sliders.get(name);
    one.sorted = sorted;
    const limit = bounds.get(name);
    const beyond = limit === undefined ? -1 : sorted.findIndex((value) => (maximize ? value < limit : value > limit));
    const place = beyond < 0 ? sorted.length - 1 : Math.max(0, beyond - 1);
    one.input.max = sorted.length - 1;
    one.input.value = place;
    one.output.textContent = said(name, limit ?? sorted[place]);
  }

  function inBounds() {
    const limits = [...bounds].map(([name, limit]) => [values[name], columns.get(name).maximize, limit]);
    return (place) => limits.every(([column, maximize, limit]) => {
      const value = column[place];
      return value !== null && (maximize ? value >= limit : value <= limit);
    });
  }

  function scale(name, places) {
    const column = values[name];
    let [low, high] = [Infinity, -Infinity];
    for (const place of places) { low = Math.min(low, column[place]); high = Math.max(high, column[place]); }
    const { percent, maximize, linear } = columns.get(name);
    const log = low > 0 && high / low > 8 && !percent && !maximize && !linear;
    const to = log ? Math.log10 : (value) => value;
    const from = log ? (value) => 10 ** value : (value) => value;
    const span = to(high) - to(low) || 1;
    return { log, share: (value) => (to(value) - to(low)) / span, value: (share) => from(to(low) + share * span) };
  }

  function ticks(one, from, to) {
    const [low, high] = [one.value(from), one.value(to)];
    if (!one.log || high / low <= 8) return round(low, high);
    const found = [];
    const steps = high / low > 1000 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
      for (const step of steps) found.push(step * 10 ** power);
    return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  }

  // Viridis, from little to much.
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const SHADES = Array.from({ length: 65 }, (_, step) => {
    const at = Math.min(3.999, step / 16);
    const [one, other] = [RAMP[Math.floor(at)], RAMP[Math.floor(at) + 1]];
    return `rgb(${one.map((part, i) => Math.round(part + (at % 1) * (other[i] - part)))})`;
  });
  const ramp = (share) => SHADES[Math.round(64 * Math.min(1, Math.max(0, share)))];

  // What asks for a drawing several times between two pictures of the screen gets one.
  function draw() {
    if (!due) due = requestAnimationFrame(() => { due = 0; drawNow(); });
  }

  function drawNow() {
    const [pen, width, height, theme] = penOf(canvas);
    const box = { left: 62, right: width - 14, top: 34, bottom: height - 42 };
    const { x, y, colour } = chosen;
    const [xs, ys] = [values[x], values[y]];
    const drawn = [...all.key.keys()].filter((place) => xs[place] !== null && ys[place] !== null);
    const shown = drawn.filter(inBounds());
    const fronts = shown.filter((place) => all.front[place]);
    document.getElementById("count").textContent =
      `${shown.length.toLocaleString("en-US")} of ${all.key.length.toLocaleString("en-US")} networks` +
      (all.front.includes(1) ? `, ${fronts.length} of them on the front (ringed)` : "") + (view ? "; zoomed in, double-click to see all" : "");
    list(shown);
    points = [];
    if (!drawn.length) return;
    const [across, up] = [scale(x, drawn), scale(y, drawn)];
    const [x0, x1, y0, y1] = view ? [across.share(view[0]), across.share(view[1]), up.share(view[2]), up.share(view[3])] : [-0.03, 1.03, -0.04, 1.04];
    const px = (share) => box.left + ((share - x0) / (x1 - x0)) * (box.right - box.left);
    const py = (share) => box.bottom - ((share - y0) / (y1 - y0)) * (box.bottom - box.top);
    canvas.valuesAt = (cx, cy) => [
      across.value(x0 + ((cx - box.left) / (box.right - box.left)) * (x1 - x0)),
      up.value(y0 + ((box.bottom - cy) / (box.bottom - box.top)) * (y1 - y0)),
    ];
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
    pen.globalAlpha = 0.7;
    for (const place of shown) {
      const at = [px(across.share(xs[place])), py(up.share(ys[place]))];
      points.push([place, ...at]);
      if (all.front[place]) continue;
      pen.fillStyle = paint(place);
      if (size === 2) { pen.fillRect(at[0] - 1.5, at[1] - 1.5, 3, 3); continue; }
      pen.beginPath(); pen.arc(...at, size, 0, 7); pen.fill();
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = theme("--ink");
    pen.lineWidth = 1.2;
    for (const place of fronts) {
      pen.fillStyle = paint(place);
      pen.beginPath(); pen.arc(px(across.share(xs[place])), py(up.share(ys[place])), 5.5, 0, 7); pen.fill(); pen.stroke();
    }
    pen.restore();
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
    const column = values[chosen.y];
    const best = [...shown].sort((a, b) => better * (column[a] - column[b])).slice(0, 10);
    const sayers = Object.fromEntries(names.map((name) => [name, sayer(columns.get(name), best.map((place) => values[name][place]))]));
    const head = element("tr");
    for (const name of names) head.appendChild(element("th", plain(name)));
    head.appendChild(element("th", "architecture", { className: "text" }));
    made.tHead.replaceChildren(head);
    made.tBodies[0].replaceChildren(...best.map((place) => {
      const row = element("tr");
      for (const name of names) row.appendChild(element("td", sayers[name](values[name][place])));
      const cell = row.appendChild(element("td", undefined, { className: "text" }));
      cell.appendChild(element("a", all.architecture[place], { href: `#${all.key[place]}` }));
      return row;
    }));
  }

  // What the panel shows of a network, as far as the columns tell.
  function told(place) {
    const rows = all.columns.map(({ name }) => [plain(name), said(name, values[name][place]), name]);
    const facts = [["run", all.runs[all.run[place]], ""], ...rows, ["key", all.key[place], ""]];
    return { architecture: all.architecture[place], facts, layers: [] };
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
    if (!drag) {
      const place = near(...at(event));
      canvas.title = place === null ? "" : all.architecture[place];
    } else if (event.pointerType !== "touch") {
      drag.to = at(event);
      draw();
    }
  });
  addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { from, to } = drag;
    drag = null;
    if (to && Math.abs(to[0] - from[0]) > 8 && Math.abs(to[1] - from[1]) > 8) {
      const [one, other] = [canvas.valuesAt(...from), canvas.valuesAt(...to)];
      view = [Math.min(one[0], other[0]), Math.max(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[1], other[1])];
    } else if (event.target === canvas) {
      const place = near(...at(event));
      if (place !== null && known(all.key[place])) open(all.key[place]);
    }
    draw();
  });
  canvas.addEventListener("dblclick", () => { view = null; draw(); });
  addEventListener("resize", draw);
  refresh();
  // Where a network is drawn, in pixels of the canvas.
  const pointOf = (place) => points.find(([drawn]) => drawn === place).slice(1);
  return { refresh, draw, told, pointOf };
}

const theme = document.getElementById("theme");
const nameTheme = () => { theme.textContent = root.dataset.theme === "dark" ? "light" : "dark"; };
theme.addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  nameTheme();
  explored?.draw();
  if (shown) show(shown);
  else drawBand();
});
addEventListener("resize", drawBand);
nameTheme();
if (all.key) explored = explore();
showAddressed();
if (!shown) drawBand();

// A page that is watched hears of each network, and fetches plots and tables as they are drawn.
if (root.dataset.watched !== undefined) {
  let drawing = root.dataset.watched; // which drawing of plots and tables this page has
  const live = document.getElementById("live");
  const time = (seconds) => new Date(1000 * seconds).toLocaleTimeString();
  live.hidden = false;
  live.textContent = "live";

  function update() {
    if (all.key && !explored && document.getElementById("map")) explored = explore();
    else if (all.key) explored?.refresh();
    if (Object.hasOwn(networks, shown)) show(shown);
    else showAddressed();
  }

  // The new sections in place of the old ones; what a person has set up there stays.
  async function fetchSections() {
    const found = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
    const tables = new Map([...document.querySelectorAll("table.sortable")].map((table) => {
      const scroll = table.parentElement;
      const head = table.querySelector("th[aria-sort]");
      return [table.id, {
        column: head?.title, up: head?.getAttribute("aria-sort") === "ascending",
        wanted: scroll.previousElementSibling?.matches("input.filter") ? scroll.previousElementSibling.value : "",
        at: [scroll.scrollLeft, scroll.scrollTop],
      }];
    }));
    const folds = new Set([...document.querySelectorAll("details[open] summary")].map((one) => one.textContent));
    const [oldMap, oldCurves] = ["map", "curves"].map((id) => document.getElementById(id)?.closest("section"));
    const [x, y] = [scrollX, scrollY];
    const main = document.querySelector("main");
    main.replaceChildren(...found.querySelector("main").children);
    for (const [id, old] of [["map", oldMap], ["curves", oldCurves]])
      if (old) document.getElementById(id)?.closest("section").replaceWith(old);
    for (const table of document.querySelectorAll("table.sortable")) {
      const kept = tables.get(table.id);
      const scroll = table.parentElement;
      const head = [...table.tHead.rows[0].cells].find(({ title }) => title === kept?.column);
      if (head) sortBy(head, kept.up);
      const field = scroll.previousElementSibling;
      if (kept && field?.matches("input.filter")) { field.value = kept.wanted; filterBy(field); }
      if (kept) [scroll.scrollLeft, scroll.scrollTop] = kept.at;
    }
    for (const one of document.querySelectorAll("summary")) one.parentElement.open = folds.has(one.textContent);
    scrollTo(x, y);
    take(found);
    drawing = found.documentElement.dataset.watched;
  }

  const source = new EventSource("events");
  source.addEventListener("message", async (event) => {
    const told = JSON.parse(event.data);
    document.getElementById("summary").innerHTML = told.summary; // made and escaped as the page is
    if (told.drawing !== drawing) await fetchSections();
    ({ all, curves } = told);
    opened = told.opened;
    update();
    live.textContent = `live: as of ${time(told.at)}; plots and tables ` +
      (told.drawn_at ? `as of ${time(told.drawn_at)}` :
        told.drawn_from ? "are being drawn" :
          "follow as soon as a core is idle, at the latest after some minutes");
  });
  source.addEventListener("error", () => { live.textContent = "not live: whoever showed this page has ended, or cannot be reached"; });
}
