/** Cuts `[0, blockCount)` into `parts` half-open ranges whose lengths differ by one at most. */
export function splitBlocks(blockCount: number, parts: number): (readonly [from: number, to: number])[] {
  return Array.from({ length: parts }, (_, index) => [
    Math.floor((index * blockCount) / parts),
    Math.floor(((index + 1) * blockCount) / parts)
  ])
}
