"use strict";
// What the page does beyond showing. Without it everything can be read all the same.
const all = (what, of = document) => [...of.querySelectorAll(what)];
const make = (tag, values) => Object.assign(document.createElement(tag), values);
const set = (one, values) => { for (const key in values) one.setAttribute(key, values[key]); };
const press = (one, act) => {
  Object.assign(one, { tabIndex: 0, role: "button", onclick: act });
  one.onkeydown = e => ["Enter", " "].includes(e.key) && (e.preventDefault(), act());
};

// A table is sorted by a press on a column's name; cells without a number stay last.
const words = cell => cell.dataset.v ?? cell.textContent;
const number = cell =>
  cell.tagName == "TH" ? NaN : parseFloat(words(cell).replace(/−/g, "-").replace(/,/g, "").match(/-?[\d.]+(e-?\d+)?|$/)[0]);
const sorted = (rows, column, way) => rows.sort((a, b) => {
  const [one, two] = [a.cells[column], b.cells[column]], [x, y] = [number(one), number(two)];
  return isNaN(x) - isNaN(y) || way * (x - y || words(one).localeCompare(words(two)));
});
all("table:not(.matrix, .fixed)").filter(table => table.tBodies[0].rows.length > 1).forEach(table =>
  all("thead th", table).forEach((head, column) => {
    const button = make("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const way = head.ariaSort == "ascending" ? -1 : 1;
      all("thead th", table).forEach(other => other.ariaSort = null);
      head.ariaSort = way > 0 ? "ascending" : "descending";
      table.tBodies[0].append(...sorted([...table.tBodies[0].rows], column, way));
    };
  }));

// Values are read off curves under the pointer, or with the arrow keys.
const at = (points, x, snap) => {
  const i = points.findIndex(point => point[0] >= x), [a, b] = [points[i - 1], points[i]];
  if (!b || b[0] == x) return b;
  if (!a || snap) return;
  return a.map((v, k) => v == null || b[k] == null ? null : v + (b[k] - v) * (x - a[0]) / (b[0] - a[0]));
};
const short = v => v.toLocaleString("en", { maximumSignificantDigits: 4 });
const tip = make("div", { className: "tip", role: "status", hidden: true });
document.body.append(tip);
all("svg[data-x]").forEach(svg => {
  const [low, high, start, end, top, bottom] = JSON.parse(svg.dataset.x);
  const curves = all("[data-d]", svg).map(of => ({ of, points: JSON.parse(of.dataset.d).filter(p => p[1] != null) }));
  const stops = [...new Set(curves.flatMap(curve => curve.points.map(p => p[0])))].sort((a, b) => a - b);
  const cross = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
  const pixels = () => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  let now = -1;
  const hide = () => { tip.hidden = true; cross.removeAttribute("d"); };
  const show = (x, y) => {
    const rows = curves.filter(curve => !curve.of.matches(".off")).map(curve => [at(curve.points, x, "snap" in svg.dataset), curve.of]);
    tip.replaceChildren(make("p", { textContent: `${x.toLocaleString("en", { maximumFractionDigits: 1 })} ${svg.dataset.axis}` }));
    rows.filter(row => row[0]).sort((a, b) => b[0][1] - a[0][1]).forEach(([[, mean, from, to], of]) => {
      const line = make("p", { className: of.querySelector("polyline").getAttribute("class") });
      const band = from == null ? "" : ` [${short(from)}, ${short(to)}]`;
      line.append(make("b", { textContent: short(mean) }), `${band} ${of.dataset.leg}${line.matches(".thin") ? ", not finished" : ""}`);
      tip.append(line);
    });
    const across = start + (x - low) / (high - low) * (end - start), box = svg.getBoundingClientRect();
    set(cross, { class: "cross", d: `M${across},${top}V${bottom}` });
    tip.hidden = false;
    const left = box.left + across * pixels(), room = left + tip.offsetWidth + 20 < innerWidth;
    tip.style.left = `${room ? left + 16 : Math.max(4, left - 16 - tip.offsetWidth)}px`;
    tip.style.top = `${Math.max(4, Math.min((y ?? box.top) + 8, innerHeight - tip.offsetHeight - 8))}px`;
  };
  svg.onpointermove = svg.onpointerdown = e => {
    const x = low + ((e.clientX - svg.getBoundingClientRect().left) / pixels() - start) / (end - start) * (high - low);
    now = stops.reduce((best, stop, i) => Math.abs(stop - x) < Math.abs(stops[best] - x) ? i : best, 0);
    show("snap" in svg.dataset ? stops[now] : Math.min(Math.max(x, stops[0]), stops.at(-1)), e.clientY);
  };
  svg.onpointerleave = svg.onblur = hide;
  svg.tabIndex = 0;
  svg.onkeydown = e => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step) return e.key == "Escape" && hide();
    e.preventDefault();
    show(stops[now = Math.min(Math.max(now + step, 0), stops.length - 1)]);
  };
  all("title", svg).forEach(title => title.remove()); // their values are in the tip
});

// A strategy is shown alone, or beside others, by a press on its name.
all("section").forEach(section => {
  const only = new Set();
  all(".legend [data-leg]", section).forEach(entry => {
    entry.ariaPressed = false;
    entry.title = "show alone";
    press(entry, () => {
      only.delete(entry.dataset.leg) || only.add(entry.dataset.leg);
      section.classList.toggle("few", only.size > 0 && only.size < 5); // whose bands do not hide each other
      all("[data-leg]", section).forEach(one => {
        const has = only.has(one.dataset.leg);
        one.role == "button" ? one.ariaPressed = has : one.classList.toggle("off", only.size > 0 && !has);
      });
    });
  });
});

// Figures are saved as they are seen: as svg, and as png of twice the size.
const save = (blob, name) => {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
};
const looks = "fill stroke stroke-width stroke-dasharray stroke-linejoin stroke-linecap opacity display font-family font-size font-weight".split(" ");
const drawn = figure => {
  const image = figure.querySelector("img");
  if (image) return { text: decodeURIComponent(image.src.slice(image.src.indexOf(",") + 1)), width: image.naturalWidth, height: image.naturalHeight };
  const parts = all("svg", figure).filter(svg => svg.getClientRects().length).map(svg => {
    const box = svg.getBoundingClientRect(), inner = svg.getBBox(), scale = box.width / svg.viewBox.baseVal.width;
    return { svg, box, right: Math.max(box.right, box.left + (inner.x + inner.width) * scale) };
  });
  const left = Math.min(...parts.map(p => p.box.left)), top = Math.min(...parts.map(p => p.box.top));
  const width = Math.max(...parts.map(p => p.right)) - left + 8, height = Math.max(...parts.map(p => p.box.bottom)) - top + 8;
  const whole = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const paper = whole.appendChild(document.createElementNS(whole.namespaceURI, "rect"));
  set(whole, { width, height, viewBox: `0 0 ${width} ${height}` });
  set(paper, { width, height, fill: getComputedStyle(document.body).backgroundColor });
  for (const { svg, box } of parts) {
    const copy = whole.appendChild(svg.cloneNode(true)), copies = [copy, ...all("*", copy)];
    [svg, ...all("*", svg)].forEach((one, i) => {
      const style = getComputedStyle(one);
      looks.forEach(look => copies[i].style.setProperty(look, style.getPropertyValue(look)));
      ["tabindex", "data-d", "data-x"].forEach(key => copies[i].removeAttribute(key));
    });
    set(copy, { x: box.left - left, y: box.top - top, width: box.width, height: box.height, overflow: "visible" });
  }
  return { text: new XMLSerializer().serializeToString(whole), width, height };
};
all("figure.chart").forEach(figure => {
  const row = make("p", { className: "get" }), ways = {
    svg: ({ text }) => save(new Blob([text], { type: "image/svg+xml" }), `${figure.id}.svg`),
    png: ({ text, width, height }) => {
      const picture = make("img", { src: "data:image/svg+xml," + encodeURIComponent(text) });
      picture.onload = () => {
        const canvas = make("canvas", { width: 2 * width, height: 2 * height });
        canvas.getContext("2d").drawImage(picture, 0, 0, 2 * width, 2 * height);
        canvas.toBlob(blob => save(blob, `${figure.id}.png`));
      };
    },
  };
  for (const way in ways) row.append(make("button", { type: "button", textContent: way, ariaLabel: `${figure.id} as ${way}`, onclick: () => ways[way](drawn(figure)) }));
  figure.append(row);
});

// A thumbnail opens large, and closes by a press anywhere.
const large = document.body.appendChild(make("dialog", { onclick: () => large.close() }));
all(".gallery img").forEach(image => press(image, () => {
  large.replaceChildren(image.cloneNode(), make("p", { textContent: image.alt }));
  large.showModal();
}));
addEventListener("beforeprint", () => all("details").forEach(one => one.open = true));
