// How long an iteration will take, by the times measured in this page: agm/anytime/latency.py in short.
"use strict";

const RECENT = 16; // durations that count
const MARGIN = 1.1; // a prediction is at least this many medians, however steady the measurements were

const times = {
  table: {}, // what is done -> [[pixels, its last durations in ms], ...], smallest picture first
  ratios: [], // observed / median, of the last durations

  /** Milliseconds that suffice; infinite for what was never measured. */
  predict(name, pixels) {
    const row = this.nearest(name, pixels);
    if (!row) return Infinity;
    const [measured, durations] = row;
    const median = quantile(durations, 0.5);
    const recent = this.ratios.length ? quantile(this.ratios, 0.95) : 0;
    return Math.max(quantile(durations, 0.99), MARGIN * median, recent * median) * Math.max(1, pixels / measured);
  },

  /** The row of that size, or of the next smaller one, or the smallest there is. */
  nearest(name, pixels) {
    const rows = this.table[name] ?? [];
    return rows.findLast(([measured]) => measured <= pixels) ?? rows[0];
  },

  observe(name, pixels, ms) {
    const known = this.nearest(name, pixels);
    if (known) keep(this.ratios, ms / (quantile(known[1], 0.5) * Math.max(1, pixels / known[0])));
    const rows = (this.table[name] ??= []);
    let row = rows.find(([measured]) => measured === pixels);
    if (!row) {
      rows.push((row = [pixels, []]));
      rows.sort((a, b) => a[0] - b[0]);
    }
    keep(row[1], ms);
  },
};

function keep(values, value) {
  values.push(value);
  if (values.length > RECENT) values.shift();
}

function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}
