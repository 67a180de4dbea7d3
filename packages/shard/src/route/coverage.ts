import type { ModelDescription } from '@kwaai/interface'
import type { Advert } from './advert.ts'

/** How many servers hold each range of a model's blocks: ranges as long as the number stays, all blocks in order. */
export function coverageOf(
  adverts: readonly Advert[],
  blockCount: number
): NonNullable<ModelDescription['coverage']> {
  const fitting = adverts.filter(
    (advert) => advert.blockCount === blockCount && advert.from < advert.to && advert.to <= blockCount
  )
  const bounds = [...new Set([0, blockCount, ...fitting.flatMap(({ from, to }) => [from, to])])]
  bounds.sort((a, b) => a - b)
  const ranges: { from: number; to: number; servers: number }[] = []
  for (const [place, from] of bounds.slice(0, -1).entries()) {
    const to = bounds[place + 1] as number
    const holders = fitting.filter((advert) => advert.from <= from && to <= advert.to)
    const servers = new Set(holders.map(({ peer }) => peer)).size
    const before = ranges.at(-1)
    if (before?.servers === servers) before.to = to
    else ranges.push({ from, to, servers })
  }
  return ranges
}
