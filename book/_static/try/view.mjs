// What the reader sees of a run: pictures with their qualities, a strip of iterations, a table.
"use strict";
globalThis.agm ??= {};

agm.view = (() => {
  const get = id => document.getElementById(`try-${id}`);
  const db = value => `${value.toFixed(2)} dB`;
  const ms = value => (value < 9.95 ? value.toFixed(1) : Math.round(value).toString());

  /** One of the four pictures: `values` is { psnr, ssim }, or nothing for what has none. */
  function figure(name, planes, title, values) {
    const canvas = get(name);
    if (planes) agm.images.draw(canvas, planes);
    canvas.hidden = !planes;
    const told = values ? `${db(values.psnr)}, SSIM ${values.ssim.toFixed(3)}` : "";
    canvas.setAttribute("aria-label", [title, told].filter(Boolean).join(": "));
    get(`${name}-caption`).innerHTML = `<b>${title}</b><br>${told || "&nbsp;"}`;
  }

  function picture({ high, low, bicubic, values }, size) {
    figure("original", high, "Original");
    figure("low", low, `Input, ${size / 2} × ${size / 2}`);
    figure("bicubic", bicubic, "Bicubic", values);
  }

  /** Nothing has been made yet; there will be so many images. */
  function clear(count) {
    figure("network", null, "Network");
    const place = '<span class="try-place"></span>';
    get("strip").innerHTML = place.repeat(count);
    get("rows").replaceChildren();
  }

  /** What is left of the slider's handle is bicubic's, what is right of it the network's. */
  const slide = () => get("frame").style.setProperty("--at", `${get("slider").value}%`);

  /** The image of an iteration becomes the large one. */
  function show(points, number) {
    const point = points[number - 1];
    figure("network", point.image, `Network, iteration ${number}`, point);
    [...get("strip").children].forEach((button, i) => {
      if (i < points.length) button.setAttribute("aria-pressed", i + 1 === number);
    });
  }

  function addToStrip(points) {
    const number = points.length;
    const point = points[number - 1];
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Show iteration ${number}, ${db(point.psnr)}`);
    const canvas = document.createElement("canvas");
    agm.images.draw(canvas, point.image);
    const caption = document.createElement("span");
    caption.textContent = point.psnr.toFixed(2);
    button.append(canvas, caption);
    button.onclick = () => show(points, number);
    get("strip").children[number - 1].replaceWith(button);
  }

  function addToTable({ psnr, ssim, ms: taken, elapsed }, number, active, bicubic) {
    const gain = psnr - bicubic;
    const cells = [active, ms(taken), ms(elapsed), psnr.toFixed(2), signed(gain), ssim.toFixed(3)];
    const row = document.createElement("tr");
    row.innerHTML = `<th scope="row">${number}</th>${cells.map(cell => `<td>${cell}</td>`).join("")}`;
    get("rows").append(row);
  }

  const signed = value => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

  /** An iteration has arrived, the last of `points`. */
  function add(points, active, bicubic) {
    addToStrip(points);
    addToTable(points.at(-1), points.length, active, bicubic);
    show(points, points.length);
  }

  const status = text => (get("status").textContent = text);

  /** What was returned, and why. */
  function verdict({ why, expected }, points, total, bicubic, deadline) {
    const last = points.at(-1);
    const told = reason(why, expected, points.length, total, last, deadline);
    return last ? `${told} ${comparison(points, bicubic)}` : told;
  }

  function reason(why, expected, done, total, last, deadline) {
    const over = last && deadline !== null ? last.elapsed - deadline : 0;
    const late = over > 0 ? ` It was late by ${ms(over)} ms.` : "";
    if (why === "end") return `All ${total} iterations were done in ${ms(last.elapsed)} ms.${late}`;
    if (why === "stopped") return `Stopped after ${done} of ${total} iterations.`;
    const next = `about ${ms(expected)} ms, would not have been over by the deadline of ${ms(deadline)} ms`;
    if (!done) return `Returned: bicubic upsampling. Even the first iteration, ${next}.`;
    return `Returned: iteration ${done} of ${total}, after ${ms(last.elapsed)} ms.${late} The next one, ${next}.`;
  }

  function comparison(points, bicubic) {
    const gain = points.at(-1).psnr - bicubic;
    const best = points.reduce((a, b) => (b.psnr > a.psnr ? b : a));
    const told = gain >= 0 ? `This image is ${db(gain)} better than bicubic.` : `Bicubic is better, by ${db(-gain)}.`;
    const where = points.indexOf(best) + 1;
    return where === points.length ? told : `${told} The best was iteration ${where}, with ${db(best.psnr)}.`;
  }

  get("slider").oninput = slide;
  slide(); // browsers remember where it was

  return { get, picture, clear, show, add, status, verdict };
})();
