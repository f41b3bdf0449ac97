// A figure drawn from series can be questioned: when it comes near, its picture gives way to the drawing, which shows
// the point under the pointer and hides a series by its entry in the legend. Without scripts the picture stays.
const NEAR_ENOUGH = 30; // pixels
const near = new IntersectionObserver(fetchDrawings, { rootMargin: "300px" });
for (const image of document.querySelectorAll("img.series")) near.observe(image);

// Drawings come as scripts, since a page on a disk may not read other files.
function fetchDrawings(seen) {
  for (const { target } of seen.filter((entry) => entry.isIntersecting)) {
    near.unobserve(target);
    const script = Object.assign(document.createElement("script"), { src: `${target.src}.js` });
    script.onload = () => show(target, window.drawings[target.src.split("/").pop()]);
    document.head.append(script);
  }
}

function show(image, drawing) {
  const plot = Object.assign(document.createElement("div"), { className: "plot", innerHTML: drawing });
  const svg = plot.firstElementChild;
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", image.alt);
  (image.closest("a") ?? image).replaceWith(plot); // which led to the picture
  for (const entry of svg.querySelectorAll("[data-entry]")) plot.append(toggle(plot, entry.dataset));
  answer(plot, svg);
}

const between = (value, low, high) => Math.min(Math.max(value, low), high);
function place(element, left, top, width, height) {
  const values = { left, top, width, height };
  for (const side in values) if (values[side] !== undefined) element.style[side] = `${100 * values[side]}%`;
}

function toggle(plot, { entry, at }) {
  const button = Object.assign(document.createElement("button"), { ariaLabel: entry, ariaPressed: "true" });
  place(button, ...at.split(" "));
  button.onclick = () => {
    const shown = button.ariaPressed !== "true";
    for (const each of plot.querySelectorAll("[data-series]")) {
      if (each.dataset.series === entry) each.classList.toggle("off", !shown);
    }
    for (const each of plot.querySelectorAll("button")) {
      if (each.ariaLabel === entry) each.ariaPressed = String(shown); // in every panel's legend
    }
  };
  return button;
}

function answer(plot, svg) {
  for (const part of ["plot-ring", "plot-tip"]) plot.insertAdjacentHTML("beforeend", `<div class="${part}" hidden></div>`);
  const [ring, tip] = plot.querySelectorAll(":scope > div");
  const lines = [...svg.querySelectorAll("[data-x]")].map((group) => {
    const [x, y, at] = ["x", "y", "at"].map((name) => group.dataset[name].split("|"));
    return { group, data: group.dataset, x, y, at: at.map((pair) => pair.split(" ").map(Number)) };
  });
  plot.onpointermove = plot.onpointerdown = (event) => {
    const box = svg.getBoundingClientRect();
    const point = nearest(lines, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box);
    if ((ring.hidden = tip.hidden = !point)) return;
    place(ring, ...point.at);
    place(tip, Math.min(0.75, point.at[0]), point.at[1]);
    const { series, xAxis, yAxis } = point.data;
    const told = [[series], point.x ? [xAxis, point.x] : [], point.y ? [yAxis, point.y] : []];
    tip.textContent = told.map((words) => words.join(" ").trim()).filter(Boolean).join("\n");
  };
  plot.onpointerleave = () => (ring.hidden = tip.hidden = true);
}

// The visible point nearest to a place in the figure. A line across a panel, which has no x or no y, is near all along.
function nearest(lines, left, top, box) {
  let [found, least] = [null, NEAR_ENOUGH];
  for (const { data, x, y, at } of lines.filter((line) => !line.group.classList.contains("off"))) {
    at.forEach((own, i) => {
      const spot = [data.x ? own[0] : between(left, at[0][0], at[1][0]), data.y ? own[1] : between(top, at[1][1], at[0][1])];
      const distance = Math.hypot((spot[0] - left) * box.width, (spot[1] - top) * box.height);
      if (distance < least) [found, least] = [{ data, x: x[i], y: y[i], at: spot }, distance];
    });
  }
  return found;
}
