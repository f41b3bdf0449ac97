// The Web Worker: ONNX Runtime, the networks, and the deadline. Says what it does by messages; nothing is fetched.
// It is started from text, after times.mjs: from a disk, browsers refuse workers that are files.
"use strict";

const WARM_UP = 16; // side of the input on which a network is timed before its first run

const models = new Map();
let ort;
let stopped = false;
let last = Promise.resolve();
let asked = 0; // jobs that are not done

onmessage = ({ data }) => {
  if (data.type === "stop") stopped = true;
  else last = last.then(() => jobs[data.type](data)).catch(error => fail(data, error)).finally(() => asked--);
  if (data.type !== "stop") asked++;
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
    const load = part => ort.InferenceSession.create(contents[part.file], { externalData: weights });
    models.set(name, { chain, load, start: await load(chain.start), steps: new Map() });
    postMessage({ type: "ready", name });
  },

  /** Get a network ready for its whole schedule, as long as nothing else is asked for. */
  async warm({ name }) {
    await warmUp(name, () => asked > 1);
  },

  /**
   * All iterations, as far as the deadline allows. low: (3, S, S) in [0, 1]; deadline: ms or null; spent: ms that have
   * gone by already. One message per image and one at the end; `expected`: ms of the iteration that was not begun.
   */
  async run({ name, low, side, deadline, spent }) {
    const model = models.get(name);
    stopped = false;
    if (deadline !== null) await warmUp(name, () => stopped);
    const held = {};
    let begun = performance.now() - spent;
    for (const [t, { step, t: row }] of model.chain.iterations.entries()) {
      begun += await prepare(model, step);
      await pause(); // so that a wish to stop gets through
      const task = taskName(name, step, t);
      const expected = times.predict(task, side * side);
      const late = deadline !== null && performance.now() - begun + expected > deadline;
      if (late || stopped) return postMessage({ type: "done", why: stopped ? "stopped" : "deadline", expected });
      const from = performance.now();
      if (t === 0) Object.assign(held, await start(model, low, side));
      const image = Float32Array.from(await iterate(model, step, held, row, side)); // the other is fed back
      const now = performance.now();
      times.observe(task, side * side, now - from);
      postMessage({ type: "iteration", t: t + 1, image, ms: now - from, elapsed: now - begun }, [image.buffer]);
    }
    postMessage({ type: "done", why: "end", expected: 0 });
  },
};

function fail({ type, name }, error) {
  postMessage({ type: "failed", job: type, name, message: String(error?.message ?? error) });
}

/** Loads a step if it was not yet; returns the ms that took, which count for nobody. */
async function prepare({ chain, load, steps }, step) {
  const from = performance.now();
  if (!steps.has(step)) steps.set(step, await load(chain.steps[step]));
  return performance.now() - from;
}

/** x -> what stays the same over all iterations. */
function start(model, low, side) {
  return model.start.run({ x: new ort.Tensor("float32", low, [1, 3, side, side]) });
}

/** One iteration: what is held -> its image, (3, 2S, 2S), not clamped. What has not been made yet is zero. */
async function iterate({ chain, steps }, step, held, row, side) {
  const given = { t: new ort.Tensor("int64", BigInt64Array.of(BigInt(row)), []) };
  for (const [name, shape] of Object.entries(chain.steps[step].inputs)) {
    if (name !== "t") given[name] = held[name] ?? zeros(shape, side);
  }
  const { image, ...states } = await steps.get(step).run(given);
  for (const [name, tensor] of Object.entries(states)) held[name.replace("_next", "")] = tensor;
  held.previous = image;
  return image.data;
}

function zeros(shape, side) {
  const sizes = { N: 1, H: side, W: side, "2H": 2 * side, "2W": 2 * side };
  const dims = shape.map(axis => sizes[axis] ?? axis);
  return new ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
}

/** Every kind of iteration, twice: the first time is for the browser's compiler. Ends early if `enough` says so. */
async function warmUp(name, enough) {
  const model = models.get(name);
  const low = new Float32Array(3 * WARM_UP * WARM_UP).fill(0.5);
  for (const [t, { step, t: row }] of model.chain.iterations.entries()) {
    const task = taskName(name, step, t);
    await prepare(model, step);
    for (let round = 0; round < 2 && !times.table[task]; round++) {
      await pause();
      if (enough()) return;
      const from = performance.now();
      const held = t === 0 ? { ...(await start(model, low, WARM_UP)) } : {};
      await iterate(model, step, held, row, WARM_UP);
      if (round) times.observe(task, WARM_UP ** 2, performance.now() - from);
    }
  }
}

/** What is timed: the first iteration comes with part A. */
function taskName(model, step, t) {
  return `${model} ${t ? "" : "first "}${step}`;
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
