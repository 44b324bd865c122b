// Sorts a table by a column, what has no number last; draws the svg before a button as png.
addEventListener("click", ({ target }) => {
  const head = target.closest("thead button")?.parentNode, png = target.closest(".png");
  if (head) {
    const way = head.ariaSort == "ascending" ? -1 : 1, body = head.closest("table").tBodies[0];
    const key = ({ cells: { [head.cellIndex]: cell } }) => {
      const text = cell.dataset.v ?? cell.textContent;
      return [cell.tagName == "TH" ? NaN : parseFloat(text.replace(/[,[]/g, "").replace("−", "-")), text];
    };
    for (const one of head.parentNode.cells) one.ariaSort = null;
    head.ariaSort = way > 0 ? "ascending" : "descending";
    body.append(...[...body.rows].sort((a, b) => {
      const [x, one] = key(a), [y, two] = key(b);
      return isNaN(x) - isNaN(y) || way * (x - y || one.localeCompare(two));
    }));
  }
  if (png) {
    const link = png.previousElementSibling.cloneNode(), image = new Image(), canvas = document.createElement("canvas");
    image.onload = () => {
      const size = [canvas.width = 2 * image.width, canvas.height = 2 * image.height];
      canvas.getContext("2d").drawImage(image, 0, 0, ...size);
      link.href = canvas.toDataURL();
      link.download = png.value;
      link.click();
    };
    image.src = link.href;
  }
});
