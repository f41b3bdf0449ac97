// Loads what lies in _static/try_packed, and talks to the Web Worker.
"use strict";
globalThis.agm ??= {};

agm.engine = (() => {
  const FOLDER = new URL("../try_packed/", document.currentScript.src);
  const parts = new Map(); // name -> promise of the contents
  const receivers = new Map();
  const ready = new Map(); // model -> { promise, resolve, reject }
  let worker;
  let running; // { onImage, resolve, reject } of the run under way

  /** Called by every file of the folder. */
  agm.deliver = (name, contents) => receivers.get(name)(contents);

  /** The contents of one file of the folder, by a script tag: the only way that also works from a disk. */
  function part(name) {
    if (!parts.has(name)) {
      const promise = new Promise((resolve, reject) => {
        receivers.set(name, resolve);
        const script = document.createElement("script");
        script.src = new URL(`${name}.mjs`, FOLDER);
        script.onerror = () => reject(new Error(`the file ${name}.mjs could not be loaded`));
        document.head.append(script);
      });
      promise.catch(() => parts.delete(name)); // another attempt may go better
      parts.set(name, promise);
    }
    return parts.get(name);
  }

  /** The worker, with ONNX Runtime on its way into it. */
  async function start() {
    const { worker: source, script, wasm } = await part("runtime");
    if (worker) return;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    worker = new Worker(url);
    worker.onmessage = ({ data }) => answers[data.type](data);
    worker.onerror = event => answers.failed({ message: event.message });
    worker.postMessage({ type: "runtime", script, wasm });
  }

  /** A network, ready to be run. */
  async function prepare(name) {
    if (!ready.has(name)) {
      const waiting = {};
      waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
      ready.set(name, waiting);
      load(name).catch(waiting.reject);
      return waiting.promise.catch(error => {
        ready.delete(name);
        throw error;
      });
    }
    return ready.get(name).promise;
  }

  async function load(name) {
    const [contents] = await Promise.all([part(name), start()]);
    worker.postMessage({ type: "model", name, ...contents });
    parts.delete(name); // megabytes of text
  }

  /** Runs a network: every image goes to onImage, the end is what the promise gives. See worker.mjs. */
  function run(request, onImage) {
    return new Promise((resolve, reject) => {
      running = { onImage, resolve, reject };
      worker.postMessage({ type: "run", ...request });
    });
  }

  const stop = () => worker?.postMessage({ type: "stop" });

  const answers = {
    ready: ({ name }) => ready.get(name).resolve(),
    iteration: image => running.onImage(image),
    done: end => running.resolve(end),
    failed({ message }) {
      const error = new Error(message);
      worker.terminate(); // the next attempt begins anew
      worker = undefined;
      ready.forEach(waiting => waiting.reject(error)); // those that are ready do not mind
      ready.clear();
      running?.reject(error);
    },
  };

  return { part, prepare, run, stop };
})();
