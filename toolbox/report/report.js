"use strict";
// The network of the page's address, report.html#KEY, is shown in the panel.  What is written comes
// as text, never as HTML.
const networks = JSON.parse(document.getElementById("networks").textContent);

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
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

function show() {
  const key = decodeURIComponent(location.hash.slice(1));
  const network = Object.hasOwn(networks, key) ? networks[key] : null;
  if (!network) return;
  const place = document.getElementById("opened");
  place.replaceChildren(element("h3", network.architecture));
  place.appendChild(table(network.facts));
  if (network.layers.length) {
    place.appendChild(element("h3", "Layers"));
    place.appendChild(table([["layer", "output", "parameters"], ...network.layers], true));
  }
  place.hidden = false;
  document.getElementById("hint").hidden = true;
  for (const chosen of document.querySelectorAll("svg a.chosen")) chosen.classList.remove("chosen");
  for (const point of document.querySelectorAll(`svg a[href="#${CSS.escape(key)}"]`))
    point.classList.add("chosen");
}

// A point is no place to scroll to.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  const target = link && link.getAttribute("href");
  if (!target || !Object.hasOwn(networks, target.slice(1))) return;
  event.preventDefault();
  history.replaceState(null, "", target);
  show();
});
addEventListener("hashchange", show);
show();
