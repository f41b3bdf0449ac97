// Pillow's bicubic resampling of 8-bit images, bit by bit: src/libImaging/Resample.c, with a = -0.5.
// A plain script, as all files here: browsers refuse modules to pages opened from a disk. Called .mjs nevertheless,
// because Jupyter Book adds every *.js to every page.
"use strict";
globalThis.agm ??= {};

agm.resample = (() => {
  const BITS = 22; // of the fixed-point weights: 32 less 8 for the values and 2 for what overshoots

  /** Keys's kernel. */
  function bicubic(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  }

  /** For each of `to` values: where in `from` values it begins, and the weights of those that it is made of. */
  function weights(from, to) {
    const scale = from / to;
    const widened = Math.max(scale, 1); // antialiasing
    return Array.from({ length: to }, (_, i) => {
      const centre = (i + 0.5) * scale;
      const begin = Math.max(0, Math.trunc(centre - 2 * widened + 0.5));
      const end = Math.min(from, Math.trunc(centre + 2 * widened + 0.5));
      const taps = Array.from({ length: end - begin }, (_, k) => bicubic((begin + k - centre + 0.5) / widened));
      const total = taps.reduce((sum, tap) => sum + tap, 0);
      return { begin, taps: taps.map(tap => fixed(tap / total)) };
    });
  }

  function fixed(value) {
    return Math.trunc(value * (1 << BITS) + (value < 0 ? -0.5 : 0.5));
  }

  /** RGB lines of `from` pixels -> of `to`. `step`, `line`: from one value to the next, to the next line. */
  function pass(pixels, lines, from, to, step, line, outStep, outLine) {
    const out = new Uint8ClampedArray(3 * lines * to);
    weights(from, to).forEach(({ begin, taps }, i) => {
      for (let y = 0; y < lines; y++) {
        for (let c = 0; c < 3; c++) {
          let sum = 1 << (BITS - 1);
          let at = y * line + begin * step + c;
          for (const tap of taps) {
            sum += pixels[at] * tap;
            at += step;
          }
          out[y * outLine + i * outStep + c] = sum >> BITS; // clamped to 0 ... 255
        }
      }
    });
    return out;
  }

  /** A square of `from` x `from` RGB pixels -> `to` x `to`, as Image.resize((to, to), Image.Resampling.BICUBIC). */
  function resize(pixels, from, to) {
    if (from === to) return pixels;
    const narrow = pass(pixels, from, from, to, 3, 3 * from, 3, 3 * to);
    return pass(narrow, to, from, to, 3 * to, 3, 3 * to, 3);
  }

  return { resize };
})();
