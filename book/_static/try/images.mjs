// From a file to pixels, and from pixels to what is on the screen.
"use strict";
globalThis.agm ??= {};

agm.images = (() => {
  const LARGEST = 2048; // side in pixels; what is larger is reduced by the browser first, which is fast

  /** The largest centred square of an image file: { side, pixels }, RGB. Turned as its EXIF data ask, on white. */
  async function read(blob) {
    const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
    const square = Math.min(bitmap.width, bitmap.height);
    const side = Math.min(square, LARGEST);
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, side, side);
    context.imageSmoothingQuality = "high";
    const left = Math.floor((bitmap.width - square) / 2);
    const top = Math.floor((bitmap.height - square) / 2);
    context.drawImage(bitmap, left, top, square, square, 0, 0, side, side);
    bitmap.close();
    return { side, pixels: withoutAlpha(context.getImageData(0, 0, side, side).data) };
  }

  function withoutAlpha(rgba) {
    const rgb = new Uint8ClampedArray((rgba.length / 4) * 3);
    for (let i = 0, j = 0; i < rgba.length; i += 4) {
      rgb[j++] = rgba[i];
      rgb[j++] = rgba[i + 1];
      rgb[j++] = rgba[i + 2];
    }
    return rgb;
  }

  /** RGB bytes, pixel by pixel -> (3, S, S) in [0, 1]. */
  function toPlanes(pixels) {
    const count = pixels.length / 3;
    const planes = new Float32Array(pixels.length);
    for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) planes[c * count + i] = pixels[3 * i + c] / 255;
    return planes;
  }

  /** (3, S, S), clamped to [0, 1], onto a canvas. */
  function draw(canvas, planes) {
    const count = planes.length / 3;
    const side = Math.sqrt(count);
    const data = new ImageData(side, side);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) data.data[4 * i + c] = 255 * planes[c * count + i]; // rounded and clamped
      data.data[4 * i + 3] = 255;
    }
    canvas.width = canvas.height = side;
    canvas.getContext("2d").putImageData(data, 0, 0);
  }

  return { read, toPlanes, draw };
})();
