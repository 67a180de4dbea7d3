/** Rows that run together, padded to one length. */
export interface Batch {
  /** Which of the texts, by their places. */
  rows: readonly number[]
  /** Tokens of the longest. */
  tokens: number
}

/**
 * Puts texts of near lengths together, the shortest first, so that little is padded. No batch has more than
 * `maxTokens` with its padding, but for a single text that is longer itself.
 */
export function planBatches(lengths: readonly number[], maxTokens: number): Batch[] {
  const order = lengths.map((_, row) => row).toSorted((a, b) => length(lengths, a) - length(lengths, b))
  const batches: Batch[] = []
  let rows: number[] = []
  for (const row of order) {
    if (rows.length > 0 && (rows.length + 1) * length(lengths, row) > maxTokens) {
      batches.push({ rows, tokens: length(lengths, rows.at(-1) as number) })
      rows = []
    }
    rows.push(row)
  }
  if (rows.length > 0) batches.push({ rows, tokens: length(lengths, rows.at(-1) as number) })
  return batches
}

function length(lengths: readonly number[], row: number): number {
  return lengths[row] as number
}

/** What an encoder reads: ids and mask, `[rows, tokens]`, padded at the end. */
export interface EncoderInput {
  ids: BigInt64Array<ArrayBuffer>
  mask: BigInt64Array<ArrayBuffer>
  rows: number
  tokens: number
}

/** The input of a batch. The mask tells padding, never an id: `[PAD]` may stand in a text. */
export function encoderInput(batch: Batch, texts: readonly (readonly number[])[]): EncoderInput {
  const { rows, tokens } = batch
  const ids = new BigInt64Array(rows.length * tokens)
  const mask = new BigInt64Array(rows.length * tokens)
  rows.forEach((row, i) => {
    const text = texts[row] as readonly number[]
    text.forEach((id, j) => (ids[i * tokens + j] = BigInt(id)))
    mask.fill(1n, i * tokens, i * tokens + text.length)
  })
  return { ids, mask, rows: rows.length, tokens }
}
