import type { RowKernel } from '@kwaai/interface'
import { tileRows } from './constants.ts'
import type { Ggml } from './native.ts'

/** The numbers attention depends on. */
export interface AttentionShape {
  headCount: number
  kvHeadCount: number
  headSize: number
}

/** Rows of one session in a graph. */
export interface AttentionRows {
  rows: number
  kernel: RowKernel
  /** Keys the graph looks at: for a single row those there are, else the session's length, padded. */
  kvLength: number
}

// A group of query heads that share a key head can stand as rows of one head.
function groupsHeads({ headCount, kvHeadCount }: AttentionShape): boolean {
  const group = headCount / kvHeadCount
  return group >= 2 && group < tileRows
}

/** Whether these rows are a single one that sees all keys the graph looks at, so that it needs no mask. */
export function isSingle({ rows, kernel }: Pick<AttentionRows, 'rows' | 'kernel'>): boolean {
  return rows === 1 && kernel === 'vec'
}

/** Rows of the mask these rows need: the tiled kernel is only had with rows added. */
export function maskRows(part: Pick<AttentionRows, 'rows' | 'kernel'>): number {
  if (isSingle(part)) return 0
  return part.kernel === 'tile' ? Math.max(part.rows, tileRows) : part.rows
}

/** Sizes of the pieces in which `vec` rows are computed: each of 2 to 63 rows, as equal as can be. */
export function vecPieces(rows: number): number[] {
  const count = Math.ceil(rows / (tileRows - 1))
  return Array.from(
    { length: count },
    (_, i) => Math.floor(((i + 1) * rows) / count) - Math.floor((i * rows) / count)
  )
}

/**
 * Adds the attention of one session's rows to a graph, by the kernel the rows ask for and no other.
 *
 * ggml's CPU backend picks a kernel by the number of query rows: tiled from 64 on, a vector kernel below, and
 * for a single row over many keys one that splits the keys among threads (`ggml_compute_forward_flash_attn_ext`).
 * They differ in their last bits, so a step is padded or cut here until the wanted kernel is the one that runs:
 * `tile` rows are padded to 64; `vec` rows run in pieces of 2 to 63; a single row lends the heads that share
 * a key head as rows, or gets a second row beside it.
 *
 * @param q queries after rope, `[headSize, headCount, n]`, with these rows from `first` on.
 * @param k @param v the keys and values, `[headSize, kvLength, kvHeadCount]`.
 * @param mask `[kvLength, n]` with as many rows as {@link maskRows} says, or 0 where that is none.
 * @returns `[headCount * headSize, rows]`.
 */
export function attention(
  ggml: Ggml,
  ctx: number,
  shape: AttentionShape,
  part: AttentionRows,
  tensors: { q: number; first: number; k: number; v: number; mask: number }
): number {
  const { c } = ggml
  const { headCount, kvHeadCount, headSize } = shape
  const { rows, kernel, kvLength } = part
  const width = headCount * headSize
  // As llama.cpp computes it: in single precision throughout.
  const scale = Math.fround(1 / Math.fround(Math.sqrt(headSize)))

  const queries = (from: number, count: number): number =>
    c.ggml_view_3d(
      ctx,
      tensors.q,
      headSize,
      headCount,
      count,
      headSize * 4,
      width * 4,
      (tensors.first + from) * width * 4
    )
  const flash = (q: number, mask: number): number => {
    const result = c.ggml_flash_attn_ext(ctx, q, tensors.k, tensors.v, mask, scale, 0, 0)
    c.ggml_flash_attn_ext_set_prec(result, 10) // GGML_PREC_F32
    return result
  }
  const headsApart = (q: number): number => c.ggml_permute(ctx, q, 0, 2, 1, 3)
  const firstRows = (result: number): number => c.ggml_view_2d(ctx, result, width, rows, width * 4, 0)

  const padTo = kernel === 'tile' ? tileRows : rows === 1 && !groupsHeads(shape) ? 2 : 0
  if (rows < padTo) {
    const padded = c.ggml_pad(ctx, queries(0, rows), 0, 0, padTo - rows, 0)
    return firstRows(flash(headsApart(padded), tensors.mask))
  }
  if (kernel === 'tile') return firstRows(flash(headsApart(queries(0, rows)), tensors.mask))
  if (rows === 1) {
    const grouped = c.ggml_reshape_3d(ctx, queries(0, 1), headSize, headCount / kvHeadCount, kvHeadCount)
    const result = c.ggml_cont(ctx, headsApart(flash(grouped, tensors.mask)))
    return c.ggml_reshape_2d(ctx, result, width, 1)
  }
  let from = 0
  const pieces = vecPieces(rows).map((count) => {
    const mask = c.ggml_view_2d(ctx, tensors.mask, kvLength, count, kvLength * 2, from * kvLength * 2)
    const result = flash(headsApart(queries(from, count)), mask)
    from += count
    return c.ggml_reshape_2d(ctx, result, width, count)
  })
  return concatRows(ggml, ctx, pieces)
}

/** Puts `[width, n]` tensors one below the other, in pairs, so that each row is copied few times. */
export function concatRows(ggml: Ggml, ctx: number, tensors: readonly number[]): number {
  let level = [...tensors]
  while (level.length > 1) {
    const next: number[] = []
    for (let i = 0; i < level.length; i += 2) {
      const [a, b] = [level[i] as number, level[i + 1]]
      next.push(b === undefined ? a : ggml.c.ggml_concat(ctx, a, b, 1))
    }
    level = next
  }
  return level[0] as number
}
