import { blocksOf } from './words.ts'

/** Blocks somebody runs. */
interface Span {
  from: number
  to: number
}

/** Where the ends of spans lead, from the first block on and from the last one back. */
export interface Reach {
  /** Says why a span is on no path through the range; undefined where it is on one. */
  gapBeside(span: Span): string | undefined
  /** What is missing for a path, in words that are true of these spans. */
  problem(): string
}

/** Looks at which boundaries of a range of blocks spans lead to. */
export function reachOf(spans: readonly Span[], range: Span): Reach {
  const forwards = boundaries(spans, range.from)
  const backwards = boundaries(
    spans.map(({ from, to }) => ({ from: to, to: from })),
    range.to
  )
  return {
    gapBeside({ from, to }) {
      if (!forwards.has(from)) return `No servers before it end at block ${from}`
      if (!backwards.has(to)) return `No servers after it begin at block ${to}`
      return undefined
    },
    problem() {
      const gaps: string[] = []
      let gapFrom = -1
      for (let block = range.from; block <= range.to; block++) {
        const missing = block < range.to && !spans.some(({ from, to }) => from <= block && block < to)
        if (missing && gapFrom < 0) gapFrom = block
        if (!missing && gapFrom >= 0) {
          gaps.push(blocksOf(gapFrom, block))
          gapFrom = -1
        }
      }
      if (gaps.length > 0) return `the chain has no server for ${gaps.join(' and ')}`
      const furthest = Math.max(...forwards)
      return `the servers overlap: each block has one, but none begins at block ${furthest}, where the others end`
    }
  }
}

/** Every boundary that spans lead to, one after the other, from a start. */
function boundaries(spans: readonly Span[], start: number): Set<number> {
  const reached = new Set([start])
  for (let before = 0; before !== reached.size;) {
    before = reached.size
    for (const { from, to } of spans) if (reached.has(from)) reached.add(to)
  }
  return reached
}
