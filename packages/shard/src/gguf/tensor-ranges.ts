import type { GgufFile } from './file.ts'
import { ropeFactorsName } from './llama-tensors.ts'

/** A stretch of a file. */
export interface ByteRange {
  offset: number
  length: number
}

/**
 * The bytes of tensor data a part of a model needs, merged into as few ranges as the file allows. The header
 * (`[0, dataOffset)`) is not among them.
 *
 * @param part blocks `[from, to)`, or `head` for the embedding, the final norm and the head.
 * @param gapBytes ranges closer than this become one. Default: the padding between two tensors.
 */
export function tensorRanges(
  file: GgufFile,
  part: { from: number; to: number } | 'head',
  gapBytes: number = file.alignment
): ByteRange[] {
  const wanted = [...file.tensors.values()].filter(({ name }) => isIn(name, part))
  const ranges: ByteRange[] = []
  for (const { offset, byteLength } of wanted.toSorted((a, b) => a.offset - b.offset)) {
    const last = ranges.at(-1)
    if (last !== undefined && offset - (last.offset + last.length) < gapBytes)
      last.length = offset + byteLength - last.offset
    else ranges.push({ offset, length: byteLength })
  }
  return ranges
}

function isIn(name: string, part: { from: number; to: number } | 'head'): boolean {
  const block = /^blk\.(\d+)\./.exec(name)
  if (part === 'head') return block === null && name !== ropeFactorsName
  if (block === null) return name === ropeFactorsName
  const index = Number(block[1])
  return index >= part.from && index < part.to
}
