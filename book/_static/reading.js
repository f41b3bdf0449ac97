const cut = (box) => box.scrollWidth > box.clientWidth + 1;
const BOXES = ".output.text_html, .pst-scrollable-table-container, div.math, .math mjx-container";

// A box that scrolls sideways must be reachable with the keyboard, too; the theme sees to code and plain tables only.
function reachable() {
  for (const box of document.querySelectorAll(BOXES)) {
    if (cut(box) && !box.matches(".math, mjx-container")) box.classList.add("roomy");
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
  new ResizeObserver(reachable).observe(document.body);
  window.MathJax?.startup?.promise?.then(reachable); // formulas come after loading, and need not change the page's size
});

// The search shows a piece of each page it finds, which a browser does not let it read from a disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
