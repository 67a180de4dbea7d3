import type { RowKernel } from '@kwaai/interface'

/** Prompts of this length and more run in the `tile` kernel, shorter ones in `vec` (llama.cpp's rule). */
const tilePromptTokens = 64

/**
 * The kernel of a prompt's rows. The whole prompt counts, what a cache holds of it too, as with llama.cpp:
 * so rows have the bits they have without a cache.
 */
export function promptKernel(promptTokens: number): RowKernel {
  return promptTokens >= tilePromptTokens ? 'tile' : 'vec'
}

/** What the blocks hold for a session: each row by the token it was made of. */
export interface HeldRows {
  tokens: readonly number[]
  /** So many rows are `tile`, all others, which come after them, `vec`: a prompt stands before its answer. */
  tileRows: number
}

/** Rows that a prompt of this kernel can use at all, whatever its tokens. */
function rowsOf({ tokens, tileRows }: HeldRows, kernel: RowKernel): number {
  if (kernel === 'tile') return tileRows
  return tileRows === 0 ? tokens.length : 0
}

/**
 * Rows a prompt can begin with: those of the same tokens, made by the kernel the prompt asks for. At most all
 * but one of the prompt, whose last row is the one the first token is chosen from.
 */
export function usableRows(held: HeldRows, prompt: readonly number[]): number {
  const most = Math.min(rowsOf(held, promptKernel(prompt.length)), prompt.length - 1)
  let rows = 0
  while (rows < most && held.tokens[rows] === prompt[rows]) rows++
  return rows
}

/**
 * True when a prompt that uses the first `rows` rows loses no more of those held than it gains. Most chats
 * begin with the same words; a new one must not take an old one's rows for these few.
 */
export function worthTaking(held: HeldRows, prompt: readonly number[], rows: number): boolean {
  return rowsOf(held, promptKernel(prompt.length)) - rows <= rows
}
