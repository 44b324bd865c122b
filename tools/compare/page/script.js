// Sorts tables, what is no number last; saves svg as png.
addEventListener("click", ({ target }) => {
  const head = target.closest("th:has(button)");
  if (head) {
    const way = head.ariaSort == "ascending" ? -1 : 1, body = head.closest("table").tBodies[0], i = head.cellIndex;
    const text = ({ cells }) => cells[i].dataset.v ?? cells[i].textContent;
    const number = row => i ? parseFloat(text(row).replace(/[,[<]/g, "").replace("−", "-")) : NaN;
    for (const th of head.parentNode.cells) th.ariaSort = null;
    head.ariaSort = way > 0 ? "ascending" : "descending";
    body.append(...[...body.rows].sort((a, b, x = number(a), y = number(b)) =>
      isNaN(x) - isNaN(y) || way * (x - y || text(a).localeCompare(text(b)))));
  } else if (target.matches(".png")) {
    const link = target.previousSibling.cloneNode(), img = new Image();
    img.onload = () => {
      const canvas = document.createElement("canvas"), w = canvas.width = img.width * 2, h = canvas.height = img.height * 2;
      canvas.getContext("2d").drawImage(img, 0, 0, w, h);
      Object.assign(link, { href: canvas.toDataURL(), download: target.value }).click();
    };
    img.src = link.href;
  }
});
