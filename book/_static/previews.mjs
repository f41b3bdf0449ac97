// What a link on this page leads to, shown beside it while it is pointed at or has the focus. The page brings it along.
const previews = JSON.parse(document.getElementById("previews").textContent);
const box = Object.assign(document.createElement("div"), { id: "preview", hidden: true });
box.setAttribute("role", "tooltip");
document.body.append(box);
let waiting;

function appear(link) {
  box.innerHTML = previews[link.getAttribute("href")];
  box.ariaLabel = box.querySelector(".math") ? link.textContent : null; // a formula is drawn, not written
  box.hidden = false;
  link.setAttribute("aria-describedby", box.id);
  window.MathJax?.typesetPromise?.([box]);
  const { left, top, bottom } = link.getBoundingClientRect();
  const below = bottom + box.offsetHeight < innerHeight || top < box.offsetHeight;
  box.style.left = `${Math.max(8, Math.min(left, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${below ? bottom : top - box.offsetHeight}px`;
}

function vanish() {
  clearTimeout(waiting);
  box.hidden = true;
  document.querySelector(`[aria-describedby=${box.id}]`)?.removeAttribute("aria-describedby");
}

function vanishSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(vanish, 200); // time to point at the preview itself
}

for (const link of document.querySelectorAll("article a.reference")) {
  if (!(link.getAttribute("href") in previews)) continue;
  link.removeAttribute("title");
  link.onpointerenter = (event) => {
    if (event.pointerType === "touch") return; // it follows the link
    vanish();
    waiting = setTimeout(appear, 150, link);
  };
  link.onfocus = () => link.matches(":focus-visible") && (vanish(), appear(link));
  link.onpointerleave = link.onblur = vanishSoon;
}
box.onpointerenter = () => clearTimeout(waiting);
box.onpointerleave = vanishSoon;
addEventListener("keydown", (event) => event.key === "Escape" && vanish());
addEventListener("scroll", vanish, { passive: true });
