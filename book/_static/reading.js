const cut = (box) => box.scrollWidth > box.clientWidth + 1;
const BOXES = ".output.text_html, .pst-scrollable-table-container, div.math, div.math mjx-container";

// A box that scrolls sideways must be reachable with the keyboard, too; the theme sees to code and plain tables only.
function reachable() {
  for (const box of document.querySelectorAll(BOXES)) {
    // Not in a frame, which would cut what stands out of it.
    if (cut(box) && !box.matches(".math, mjx-container, .admonition *")) box.classList.add("roomy");
    box.classList.toggle("wide", cut(box)); // even with the margin's room
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}

// The list of references holds entries of a role that such a list may not have.
function entries() {
  for (const entry of document.querySelectorAll(".citation-list > .citation")) entry.setAttribute("role", "listitem");
}

addEventListener("DOMContentLoaded", entries);
addEventListener("load", () => {
  let width = 0;
  // The marks above change the page's height. Only a new width is news, or marks and observer would go on for ever.
  new ResizeObserver(() => {
    if (width !== document.body.clientWidth) reachable();
    width = document.body.clientWidth;
  }).observe(document.body);
  for (const opened of ["toggle", "change"]) addEventListener(opened, reachable, true); // a fold, a tab
  window.MathJax?.startup?.promise?.then(reachable); // formulas come after loading
});

// The search shows a piece of each page it finds. From a disk a browser reads no page, but a script with all their words.
if (location.protocol === "file:" && document.getElementById("search-results")) {
  let ready;
  window.fetch = async (page) => {
    ready ??= new Promise((onload) => {
      document.head.append(Object.assign(document.createElement("script"), { src: "_static/words.js", onload }));
    });
    await ready;
    return new Response(words[page.replace("./", "")]);
  };
}
