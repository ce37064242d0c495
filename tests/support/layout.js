// Measures the page in each frame from outside, since its own policy lets nothing run in it.
function luminance(color) {
  const parts = color.match(/[\d.]+/g).slice(0, 3).map((part) => {
    const value = part / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
}
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
function is_shown(element) {
  return element.getClientRects().length > 0;
}
function measure(frame) {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const paper = view.getComputedStyle(page.body).backgroundColor;
  const wider = [...page.body.querySelectorAll("*")]
    .filter((element) => is_shown(element) && !element.closest(".scroll") && !element.closest("svg"))
    .filter((element) => element.getBoundingClientRect().right > view.innerWidth + 0.5)
    .map((element) => element.tagName + "." + element.className);
  // What a box of its own hides until it is moved.
  const cells_out_of_sight = [...page.body.querySelectorAll("th, td")].filter(is_shown)
    .filter((cell) => cell.getBoundingClientRect().right > view.innerWidth + 0.5 || cell.scrollWidth > cell.clientWidth + 1);
  const texts = (cells) => cells.map((cell) => cell.textContent.trim());
  const pictures = [...page.querySelectorAll(".picture svg")].filter(is_shown);
  const words = pictures.flatMap((picture) => [...picture.querySelectorAll("text")].map((text) => [picture, text]));
  const cut = words.filter(([picture, text]) => {
    const [outer, inner] = [picture.getBoundingClientRect(), text.getBoundingClientRect()];
    return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
  });
  const collisions = pictures.flatMap((picture) => {
    const boxes = [...picture.querySelectorAll("text")].map((text) => [text.textContent.trim(), text.getBoundingClientRect()]);
    return boxes.flatMap(([one, a], index) => boxes.slice(index + 1)
      .filter(([_, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map(([other]) => one + " / " + other));
  });
  const lines = pictures.flatMap((picture) => [...picture.querySelectorAll("polyline[stroke^='#10'], polyline[stroke='#040404'], rect[fill^='#10']")]);
  const color = (line) => line.tagName === "rect" ? view.getComputedStyle(line).fill : view.getComputedStyle(line).stroke;
  return {
    width: view.innerWidth,
    scroll_width: root.scrollWidth,
    wider,
    out_of_sight: texts(cells_out_of_sight),
    compared_out_of_sight: texts(cells_out_of_sight.filter((cell) => cell.closest(".compared"))),
    pictures: pictures.length,
    lines: lines.length,
    words: words.length,
    cut: cut.map(([_, text]) => text.textContent.trim()),
    collisions,
    smallest_word: Math.min(...words.map(([_, text]) => parseFloat(view.getComputedStyle(text).fontSize)
      * text.closest("svg").getBoundingClientRect().width / text.closest("svg").viewBox.baseVal.width)),
    paper,
    text_contrast: Math.min(contrast(view.getComputedStyle(page.body).color, paper),
      ...words.map(([_, text]) => contrast(view.getComputedStyle(text).fill, paper))),
    line_contrast: Math.min(...lines.map((line) => contrast(color(line), paper))),
    unstyled: lines.filter((line) => color(line) === "rgb(16, 0, 1)").length,
  };
}
window.onload = () => {
  document.getElementById("result").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
};
