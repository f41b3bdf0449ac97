// The page "Try it": what the reader chooses, and what happens then.
"use strict";

(() => {
  const { view, engine, images, metrics } = agm;
  const form = view.get("form");
  const choices = form.elements;
  const earlier = []; // runs on the same picture in the same size
  let models = [];
  let source; // { name, side, pixels }: the square that was chosen
  let picture; // what is made of it in the chosen size
  let stopped = false; // whether Stop was pressed in this run
  let untouched = true; // whether the reader has not done anything yet

  /** What this browser lacks, in words; empty if nothing. */
  function lacking() {
    if (typeof WebAssembly !== "object") return "WebAssembly, which runs the networks, is missing or switched off";
    if (typeof DecompressionStream !== "function" || typeof OffscreenCanvas !== "function") return "it is too old";
    return typeof Worker === "function" ? "" : "it has no Web Workers";
  }

  async function begin() {
    const what = lacking();
    if (what) return refuse(`This browser cannot run the networks: ${what}. The rest of the book does without.`);
    view.get("app").hidden = false;
    try {
      const index = await engine.part("index");
      models = index.models;
      offerPictures(index.pictures);
      offerNetworks();
      await choose(index.pictures[0].title, pngOf(index.pictures[0]));
    } catch (error) {
      return refuse(`This page is incomplete: ${error.message}.`);
    }
    if (!navigator.connection?.saveData) preload();
  }

  /** The first picture comes by itself, unless the reader has begun to do something; if it fails, Run will say so. */
  async function preload() {
    try {
      await engine.prepare(chosen().name);
    } catch {
      return;
    }
    if (untouched) alone(run);
  }

  function refuse(text) {
    view.get("app").hidden = true;
    view.get("missing").textContent = text;
    view.get("missing").hidden = false;
  }

  function pngOf({ png }) {
    return new Blob([Uint8Array.from(atob(png), letter => letter.charCodeAt(0))], { type: "image/png" });
  }

  function offerPictures(pictures) {
    for (const [i, { title, alt, png, source: credit }] of pictures.entries()) {
      const label = document.createElement("label");
      label.title = credit;
      const image = `<img src="data:image/png;base64,${png}" alt="${alt}">`;
      label.innerHTML = `<input type="radio" name="picture">${image}<span>${title}</span>`;
      const radio = label.firstChild;
      radio.checked = i === 0;
      radio.onchange = () => choose(title, pngOf(pictures[i])).catch(error => view.status(error.message));
      view.get("pictures").append(label);
    }
  }

  function offerNetworks() {
    for (const { name, title } of models) choices.network.add(new Option(title, name));
    choices.network.onchange = tell;
    tell();
  }

  /** The chosen network's schedule, and as many places as it makes images. */
  function tell() {
    view.get("notation").textContent = chosen().schedule;
    view.clear(masksOf(chosen().schedule).length);
  }

  const chosen = () => models.find(({ name }) => name === choices.network.value);

  /** A picture becomes the present one. Raises an Error that says so if it is none. */
  async function choose(name, blob) {
    try {
      source = { name, ...(await images.read(blob)) };
    } catch {
      throw new Error(`${name} is not a picture that this browser can read. JPEG, PNG and WebP work.`);
    }
    prepare();
    view.status(note());
  }

  /** Original, input and bicubic image in the chosen size, as agm makes them: Pillow's bicubic kernel, 8 bits. */
  function prepare() {
    const size = Number(choices.size.value);
    const resize = agm.resample.resize;
    const high = resize(source.pixels, source.side, size);
    const low = resize(high, size, size / 2);
    const begun = performance.now();
    const bicubic = images.toPlanes(resize(low, size / 2, size));
    const spent = performance.now() - begun;
    picture = { size, spent, bicubic, high: images.toPlanes(high), low: images.toPlanes(low) };
    picture.values = { psnr: metrics.psnr(bicubic, picture.high), ssim: metrics.ssim(bicubic, picture.high) };
    earlier.length = 0;
    view.picture(picture, size);
    tell();
    draw([]);
  }

  function note() {
    const enlarged = source.side < picture.size ? `, enlarged: its square has ${source.side} pixels` : "";
    return `${source.name}, ${picture.size} × ${picture.size} pixels${enlarged}. Ready.`;
  }

  const deadline = () => (choices.deadline.value === "" ? null : Number(choices.deadline.value));

  function draw(runs) {
    agm.chart.draw(view.get("chart"), { runs, bicubic: picture.values.psnr, deadline: deadline() });
  }

  /** "---x (2) - xxxx (1)" -> ["---x", "---x", "xxxx"]. */
  function masksOf(notation) {
    return [...notation.matchAll(/(\S{4}) \((\d+)\)/g)].flatMap(([, mask, times]) => Array(Number(times)).fill(mask));
  }

  async function run() {
    const model = chosen();
    const masks = masksOf(model.schedule);
    const present = { title: model.title, points: [] };
    const limit = deadline();
    stopped = false;
    view.clear(masks.length);
    view.status("Loading the network.");
    await engine.prepare(model.name);
    if (stopped) return view.status("Stopped before the first iteration.");
    view.status("Running.");
    agm.latest = { picture, model, points: present.points }; // for whoever wants to look at the numbers
    const { low, size, spent } = picture;
    const request = { name: model.name, low, side: size / 2, deadline: limit, spent };
    const end = await engine.run(request, ({ image, ms, elapsed }) => {
      const psnr = metrics.psnr(image, picture.high);
      present.points.push({ image, ms, elapsed, psnr, ssim: metrics.ssim(image, picture.high) });
      view.add(present.points, masks[present.points.length - 1], picture.values.psnr);
      draw([...earlier, present]);
    });
    earlier.push(present);
    view.status(view.verdict(end, present.points, masks.length, picture.values.psnr, limit));
  }

  /** While something runs, nothing else can be chosen. */
  async function alone(work) {
    untouched = false;
    const [run, stop] = [form.querySelector("[type=submit]"), view.get("stop")];
    const pressed = form.contains(document.activeElement);
    view.get("choices").disabled = true;
    stop.disabled = false;
    if (pressed) stop.focus({ preventScroll: true });
    try {
      await work();
    } catch (error) {
      view.status(`That did not work: ${error.message}.`);
    }
    view.get("choices").disabled = false;
    if (document.activeElement === stop) run.focus({ preventScroll: true });
    stop.disabled = true;
  }

  async function own(file) {
    if (!file) return;
    untouched = false;
    try {
      await choose(file.name, file);
      form.querySelectorAll("[name=picture]").forEach(radio => (radio.checked = false));
    } catch (error) {
      view.status(error.message);
    }
  }

  form.oninput = form.onchange = () => (untouched = false);
  form.onsubmit = event => {
    event.preventDefault();
    alone(run);
  };
  view.get("stop").onclick = () => {
    stopped = true;
    engine.stop();
  };
  choices.size.onchange = () => {
    prepare();
    view.status(note());
  };
  view.get("file").onchange = ({ target }) => own(target.files[0]);
  view.get("app").ondragover = event => event.preventDefault();
  view.get("app").ondrop = event => {
    event.preventDefault();
    if (!view.get("choices").disabled) own(event.dataTransfer.files[0]);
  };
  window.addEventListener("resize", () => picture && draw(earlier));
  begin();
})();
