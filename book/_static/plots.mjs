// A figure drawn from series can be questioned: when it comes near, its picture gives way to the drawing, which shows
// the point under the pointer and hides a series by its entry in the legend. Without scripts the picture stays.
const near = new IntersectionObserver(fetchDrawings, { rootMargin: "300px" });
const NEAR_ENOUGH = 30; // pixels

addEventListener("DOMContentLoaded", () => document.querySelectorAll("img.series").forEach((image) => near.observe(image)));

// Drawings come as scripts, since a page on a disk may not read other files.
function fetchDrawings(seen) {
  for (const { target } of seen.filter((entry) => entry.isIntersecting)) {
    near.unobserve(target);
    const script = document.createElement("script");
    script.src = `${target.src}.js`;
    script.onload = () => show(target, window.drawings[target.src.split("/").pop()]);
    document.head.append(script);
  }
}

function show(image, drawing) {
  const plot = document.createElement("div");
  plot.className = "plot";
  plot.innerHTML = drawing;
  const svg = plot.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", image.alt);
  (image.closest("a") ?? image).replaceWith(plot); // which led to the picture
  for (const entry of svg.querySelectorAll("[data-entry]")) plot.append(toggle(plot, entry.dataset));
  answer(plot, svg);
}

function place(element, left, top, width, height) {
  const values = { left, top, width, height };
  for (const side in values) if (values[side] !== undefined) element.style[side] = `${100 * values[side]}%`;
}

function toggle(plot, { entry, at }) {
  const button = document.createElement("button");
  button.setAttribute("aria-label", entry);
  button.setAttribute("aria-pressed", "true");
  place(button, ...at.split(" "));
  button.onclick = () => {
    const off = button.getAttribute("aria-pressed") === "true";
    for (const each of plot.querySelectorAll("[data-series]")) {
      if (each.dataset.series === entry) each.classList.toggle("off", off);
    }
    for (const each of plot.querySelectorAll("button")) {
      if (each.ariaLabel === entry) each.setAttribute("aria-pressed", String(!off)); // in every panel's legend
    }
  };
  return button;
}

function answer(plot, svg) {
  const [ring, tip] = ["plot-ring", "plot-tip"].map((name) => Object.assign(document.createElement("div"), { className: name }));
  plot.append(ring, tip);
  const lines = [...svg.querySelectorAll("[data-at][data-series]")].map((group) => ({ group, ...split(group.dataset) }));
  plot.onpointermove = plot.onpointerdown = (event) => {
    const box = svg.getBoundingClientRect();
    const point = nearest(lines, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box);
    ring.hidden = tip.hidden = !point;
    if (!point) return;
    place(ring, ...point.at);
    place(tip, Math.min(0.75, point.at[0]), point.at[1]);
    const { series, xAxis, yAxis } = point.data;
    tip.textContent = [series, point.x && `${xAxis} ${point.x}`, `${yAxis} ${point.y}`].filter(Boolean).join("\n");
  };
  plot.onpointerleave = () => (ring.hidden = tip.hidden = true);
  plot.onpointerleave();
}

function split(data) {
  const [x, y, at] = [data.x, data.y, data.at].map((text) => text.split("|"));
  return { data, x, y, at: at.map((pair) => pair.split(" ").map(Number)) };
}

// The visible point nearest to a place in the figure. A level, which has no x of its own, is near all along.
function nearest(lines, left, top, box) {
  let [found, least] = [null, NEAR_ENOUGH];
  for (const { group, data, x, y, at } of lines) {
    if (group.classList.contains("off")) continue;
    at.forEach((own, i) => {
      const spot = data.x ? own : [Math.min(Math.max(left, at[0][0]), at.at(-1)[0]), own[1]];
      const distance = Math.hypot((spot[0] - left) * box.width, (spot[1] - top) * box.height);
      if (distance < least) [found, least] = [{ data, x: x[i], y: y[i], at: spot }, distance];
    });
  }
  return found;
}
