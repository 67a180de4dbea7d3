// Half precision: a visible key adds 0 to its score, a hidden one minus infinity.
const visible = 0x0000
const hidden = 0xfc00

/**
 * Fills a causal mask of `height` rows, each as long as the padded cache: row `r` of a step sees the `past` rows
 * before the step and those of the step up to its own. Rows beyond the step's repeat its last one.
 */
export function fillMask(mask: Uint16Array, height: number, past: number, rows: number): void {
  const width = mask.length / height
  mask.fill(hidden)
  for (let row = 0; row < height; row++) {
    const start = row * width
    mask.fill(visible, start, start + past + Math.min(row, rows - 1) + 1)
  }
}
