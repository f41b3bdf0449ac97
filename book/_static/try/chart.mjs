// Quality against time, as an SVG that grows with every image.
"use strict";
globalThis.agm ??= {};

agm.chart = (() => {
  const HEIGHT = 260;
  const MARGIN = { left: 46, right: 12, top: 14, bottom: 40 };
  const EARLIER = 3; // runs that stay as thin lines

  /** runs: [{ title, points: [{ elapsed, psnr }] }, ...], the present one last; times in ms, qualities in dB. */
  function draw(box, { runs, bicubic, deadline }) {
    const width = Math.max(280, box.clientWidth);
    const shown = runs.slice(-1 - EARLIER);
    const points = shown.flatMap(run => run.points);
    const end = 1.05 * Math.max(20, deadline ?? 0, ...points.map(p => p.elapsed));
    const x = scale([0, end], [MARGIN.left, width - MARGIN.right]);
    const y = scale(range([bicubic, ...points.map(p => p.psnr)]), [HEIGHT - MARGIN.bottom, MARGIN.top]);
    const parts = [axes(x, y, width), across(y(bicubic), width, "try-bicubic", "bicubic")];
    if (deadline !== null) parts.push(upright(x(deadline)));
    shown.forEach((run, i) => parts.push(curve(run, x, y, i + 1 < shown.length)));
    box.innerHTML =
      `<svg role="img" aria-label="${label(shown.at(-1), bicubic)}" viewBox="0 0 ${width} ${HEIGHT}" ` +
      `width="${width}" height="${HEIGHT}">${parts.join("")}</svg>`;
  }

  function label(run, bicubic) {
    const last = run?.points.at(-1);
    const quality = last && `iteration ${run.points.length}, ${last.psnr.toFixed(2)} dB`;
    const reached = last ? `${quality}, after ${Math.round(last.elapsed)} ms` : "no image yet";
    return `PSNR of each iteration against time: ${reached}; bicubic: ${bicubic.toFixed(2)} dB.`;
  }

  function curve({ title, points }, x, y, earlier) {
    const places = points.map(p => [x(p.elapsed).toFixed(1), y(p.psnr).toFixed(1)]);
    const dots = earlier ? [] : places.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="4"/>`);
    const [endX, endY] = places.at(-1) ?? [];
    const name = earlier && endX ? text(endX, endY - 6, title, "end") : "";
    const path = `<polyline points="${places.join(" ")}"/>`;
    return `<g class="${earlier ? "try-earlier" : "try-curve"}">${path}${dots.join("")}${name}</g>`;
  }

  function axes(x, y, width) {
    const bottom = HEIGHT - MARGIN.bottom;
    const below = ticks(x.domain, width / 90).map(t => text(x(t), bottom + 16, t, "middle"));
    const number = t => text(MARGIN.left - 6, y(t) + 4, t, "end");
    const beside = ticks(y.domain, 4).map(t => across(y(t), width, "try-grid") + number(t));
    const names = text((MARGIN.left + width) / 2, HEIGHT - 6, "ms", "middle") + text(4, MARGIN.top - 2, "dB", "start");
    return `<g class="try-axes">${beside.join("")}${below.join("")}${names}</g>`;
  }

  function upright(x) {
    return line(x, MARGIN.top, x, HEIGHT - MARGIN.bottom, "try-deadline");
  }

  function across(y, width, kind, name = "") {
    const told = name && text(width - MARGIN.right, y - 5, name, "end");
    return `<g class="${kind}">${line(MARGIN.left, y, width - MARGIN.right, y)}${told}</g>`;
  }

  function line(x1, y1, x2, y2, kind = "") {
    return `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
  }

  function text(x, y, what, anchor) {
    return `<text x="${x}" y="${y}" text-anchor="${anchor}">${what}</text>`;
  }

  function scale(domain, [from, to]) {
    const map = value => from + ((value - domain[0]) / (domain[1] - domain[0])) * (to - from);
    return Object.assign(map, { domain });
  }

  /** A little more than the values cover, and not less than 2 dB. */
  function range(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const more = Math.max(0.1 * (high - low), 1 - (high - low) / 2);
    return [low - more, high + more];
  }

  /** About `count` round numbers. */
  function ticks([low, high], count) {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
  }

  return { draw };
})();
