// The Web Worker: ONNX Runtime, the networks, and the deadline. Says what it does by messages; nothing is fetched.
// It is started from text, after times.mjs: from a disk, browsers refuse workers that are files.
"use strict";

const WARM_UP = 16; // side of the input on which a network is timed before its first run

const models = new Map();
let ort;
let stopped = false;
let last = Promise.resolve();

onmessage = ({ data }) => {
  if (data.type === "stop") stopped = true;
  else last = last.then(() => jobs[data.type](data)).catch(error => fail(data, error));
};

const jobs = {
  /** ONNX Runtime itself: its script and its WebAssembly, gzipped, in base64. */
  async runtime({ script, wasm }) {
    const url = URL.createObjectURL(new Blob([await unpack(script)], { type: "text/javascript" }));
    ort = await import(url);
    URL.revokeObjectURL(url);
    ort.env.wasm.numThreads = 1; // more need headers that a page from a disk cannot have
    ort.env.wasm.wasmBinary = (await unpack(wasm)).buffer;
  },

  /** An export of agm: what chain.json says, and its files, one after the other, gzipped, in base64. */
  async model({ name, chain, files }) {
    const bytes = await unpack(files);
    const contents = {};
    let at = 0;
    for (const [file, { bytes: size }] of Object.entries(chain.files)) contents[file] = bytes.slice(at, (at += size));
    const weights = [{ path: "weights.bin", data: contents["weights.bin"] }];
    const load = part => ort.InferenceSession.create(contents[chain.parts[part].file], { externalData: weights });
    models.set(name, { chain, load, sessions: new Map() });
    postMessage({ type: "ready", name });
  },

  /**
   * All iterations, as far as the deadline allows. low: (3, S, S) in [0, 1]; deadline: ms or null; spent: ms that have
   * gone by already. One message per image and one at the end; `expected`: ms of the iteration that was not begun.
   */
  async run({ name, low, side, deadline, spent }) {
    const model = models.get(name);
    stopped = false;
    if (deadline !== null) await warmUp(name);
    const { iterations } = model.chain;
    const held = { x: tensor(low, side) };
    const pixels = side ** 2;
    let begun = performance.now() - spent;
    for (const t of iterations.keys()) {
      begun += await prepare(model, t);
      await pause(); // so that a wish to stop gets through
      const task = taskName(name, model, t);
      const expected = times.predict(task, pixels);
      const late = deadline !== null && performance.now() - begun + expected > deadline;
      if (late || stopped) return postMessage({ type: "done", why: stopped ? "stopped" : "deadline", expected });
      const from = performance.now();
      const image = (await iterate(model, t, held)).data.slice(); // a copy, for the other is fed back
      const now = performance.now();
      times.observe(task, pixels, now - from);
      postMessage({ type: "iteration", t: t + 1, image, ms: now - from, elapsed: now - begun }, [image.buffer]);
    }
    postMessage({ type: "done", why: "end", expected: 0 });
  },
};

function fail({ type, name }, error) {
  postMessage({ type: "failed", job: type, name, message: String(error?.message ?? error) });
}

/** The parts that an iteration runs; part A, which runs once, comes with the first. */
function partsOf({ chain }, t) {
  return [...(t ? [] : ["a"]), ...chain.iterations[t].parts];
}

/** Loads what an iteration needs and is not there yet; returns the ms that took, which count for nobody. */
async function prepare(model, t) {
  const from = performance.now();
  for (const part of partsOf(model, t)) {
    if (!model.sessions.has(part)) model.sessions.set(part, await model.load(part));
  }
  return performance.now() - from;
}

/** One iteration: what is held, x and what was made of it -> its image, a tensor. What was never made is zero. */
async function iterate(model, t, held) {
  const { parts, iterations, feedback } = model.chain;
  const side = held.x.dims[2];
  held.t = new ort.Tensor("int64", BigInt64Array.of(BigInt(iterations[t].t)), []);
  for (const part of partsOf(model, t)) {
    const given = {};
    for (const [name, shape] of Object.entries(parts[part].inputs)) given[name] = held[name] ??= zeros(shape, side);
    const made = await model.sessions.get(part).run(given);
    for (const [name, tensor] of Object.entries(made)) held[name.replace("_next", "")] = tensor;
    if (part === "a" && feedback.first !== "zeros") held.previous = held[feedback.first];
  }
  held.previous = held[feedback.later];
  return held.image;
}

function zeros(shape, side) {
  const sizes = { N: 1, H: side, W: side, "2H": 2 * side, "2W": 2 * side };
  const dims = shape.map(axis => sizes[axis] ?? axis);
  return new ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
}

function tensor(planes, side) {
  return new ort.Tensor("float32", planes, [1, 3, side, side]);
}

/** Every kind of iteration, twice: the first time is for the browser's compiler. Ends early if stopped. */
async function warmUp(name) {
  const model = models.get(name);
  const x = tensor(new Float32Array(3 * WARM_UP * WARM_UP).fill(0.5), WARM_UP);
  for (const t of model.chain.iterations.keys()) {
    const task = taskName(name, model, t);
    await prepare(model, t);
    for (let round = 0; round < 2 && !times.table[task]; round++) {
      await pause();
      if (stopped) return;
      const from = performance.now();
      await iterate(model, t, { x });
      if (round) times.observe(task, WARM_UP ** 2, performance.now() - from);
    }
  }
}

/** What is timed. */
function taskName(name, model, t) {
  return [name, ...partsOf(model, t)].join(" ");
}

/** Lets waiting messages be handled. */
function pause() {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Base64 of gzipped bytes -> bytes. */
async function unpack(text) {
  const stream = new Blob([decode(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function decode(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}
