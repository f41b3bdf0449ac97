// Image quality, as agm/metrics.py has it. Images: (3, S, S) in [0, 1], channel by channel.
"use strict";
globalThis.agm ??= {};

agm.metrics = (() => {
  const WINDOW = 11; // Wang et al. 2004: a Gaussian window
  const SIGMA = 1.5;
  const C1 = 0.01 ** 2;
  const C2 = 0.03 ** 2;
  const MOST = 100; // dB: a perfect picture

  const KERNEL = (() => {
    const taps = Array.from({ length: WINDOW }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * SIGMA ** 2)));
    const total = taps.reduce((sum, tap) => sum + tap, 0);
    return taps.map(tap => tap / total);
  })();

  const clamp = value => Math.min(1, Math.max(0, value));

  /** 10 log10(1 / MSE) in dB, over RGB, of images clamped to [0, 1]; at most 100. */
  function psnr(x, y) {
    let sum = 0;
    for (let i = 0; i < x.length; i++) sum += (clamp(x[i]) - clamp(y[i])) ** 2;
    return Math.min(MOST, -10 * Math.log10(sum / x.length));
  }

  /** Gaussian means of one channel (S, S), for the windows that lie inside -> (S - 10, S - 10). */
  function blur(x, size) {
    const inner = size - WINDOW + 1;
    const rows = new Float64Array(inner * size);
    const out = new Float64Array(inner * inner);
    for (let i = 0; i < rows.length; i++) for (let k = 0; k < WINDOW; k++) rows[i] += KERNEL[k] * x[i + k * size];
    for (let y = 0; y < inner; y++) {
      for (let i = 0; i < inner; i++) {
        for (let k = 0; k < WINDOW; k++) out[y * inner + i] += KERNEL[k] * rows[y * size + i + k];
      }
    }
    return out;
  }

  function ssimOfChannel(x, y, size) {
    const product = (a, b) => a.map((value, i) => value * b[i]);
    const [mx, my] = [blur(x, size), blur(y, size)];
    const [xx, yy, xy] = [product(x, x), product(y, y), product(x, y)].map(values => blur(values, size));
    let sum = 0;
    for (let i = 0; i < mx.length; i++) {
      const means = mx[i] ** 2 + my[i] ** 2;
      const covariance = xy[i] - mx[i] * my[i];
      const variances = xx[i] + yy[i] - means;
      sum += ((2 * mx[i] * my[i] + C1) * (2 * covariance + C2)) / ((means + C1) * (variances + C2));
    }
    return sum / mx.length;
  }

  /** Structural similarity of images clamped to [0, 1], averaged over windows and RGB. */
  function ssim(x, y) {
    const pixels = x.length / 3;
    const channel = (image, c) => Float64Array.from(image.subarray(c * pixels, (c + 1) * pixels), clamp);
    const values = [0, 1, 2].map(c => ssimOfChannel(channel(x, c), channel(y, c), Math.sqrt(pixels)));
    return values.reduce((sum, value) => sum + value, 0) / 3;
  }

  return { psnr, ssim };
})();
