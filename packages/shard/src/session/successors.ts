import { KwaaiError, type CallOptions, type PeerId } from '@kwaai/interface'
import type { ChainCore } from './core.ts'
import type { HopLink, PlannedHop } from './hop.ts'

/** Codes of servers that are not what they say: they get no second chance in this session. */
const wrong: readonly string[] = [
  'ERR_SHARD_MODEL_MISMATCH',
  'ERR_SHARD_RANGE_MISMATCH',
  'ERR_SHARD_NUMERICS_MISMATCH',
  'ERR_SHARD_INVALID_RESULT',
  'ERR_SHARD_INVALID_VALUES'
]

/** Links to replace, first and last one included, and the servers that take their place. */
export interface Succession {
  first: number
  last: number
  hops: readonly PlannedHop[]
}

/** Knows who failed a session, and finds who takes over. */
export interface Successors {
  /** A server failed: others are preferred from now on. */
  blame(hop: PlannedHop, error: unknown): void
  /** A server may have failed: this session prefers others, and nobody else is told yet. */
  suspect(hop: PlannedHop, error: unknown): void
  /** A step was answered since: those that failed before are looked at anew. */
  forgive(): void
  /**
   * Servers in the place of some links: for just their blocks, or a new plan of all blocks, of which what is in
   * place stays.
   */
  find(
    links: readonly HopLink[],
    bad: { first: number; last: number; isBad: (link: HopLink) => boolean },
    options: CallOptions
  ): Promise<Succession | { problem: string }>
}

/** Makes what one session remembers. */
export function createSuccessors({ settings, planner }: ChainCore): Successors {
  const { blockCount, maxTokens, replay } = settings
  const failed = new Set<PeerId>()
  // Since a step was last answered, or in this round; the last one to fail comes last.
  const recent = new Set<PeerId>()
  const liars = new Set<PeerId>()

  const ask = async (
    span: { from: number; to: number },
    numericsClass: string,
    excluded: ReadonlySet<PeerId>,
    options: CallOptions
  ): Promise<readonly PlannedHop[] | string> => {
    const approximate = replay === 'approximate'
    const request = { ...span, maxTokens, numericsClass, excluded, approximate }
    const found = await planner?.replace(request, options)
    if (found === undefined) return 'there is nobody to ask for another one'
    if ('problem' in found) return found.problem
    // Where the class has to be kept, the server is held to it.
    const hops = found.hops.map((hop) => (approximate ? hop : { ...hop, numericsClass }))
    return covers(hops, span) ? hops : 'the servers found do not cover the blocks'
  }

  const suspect = (hop: PlannedHop, error: unknown): void => {
    failed.add(hop.peer)
    recent.delete(hop.peer)
    recent.add(hop.peer)
    if (KwaaiError.is(error) && wrong.includes(error.code)) liars.add(hop.peer)
  }

  /** Where one is taken that failed a moment ago a new round begins, in which each of these has its turn. */
  const taken = (excluded: ReadonlySet<PeerId>, found: Succession): Succession => {
    for (const peer of recent) if (!excluded.has(peer)) recent.delete(peer)
    return found
  }

  return {
    suspect,
    blame(hop, error) {
      suspect(hop, error)
      planner?.failed(hop, error)
    },
    forgive: () => recent.clear(),
    async find(links, { first, last, isBad }, options) {
      const [a, b] = [links[first], links[last]]
      if (a === undefined || b === undefined) return { problem: 'nothing is lost' }
      const span = { from: a.hop.from, to: b.hop.to }
      const classes = new Set(links.map((link) => link.hop.numericsClass))
      const all = { from: 0, to: blockCount }
      let problem = ''
      // Those that failed come last: they may have come back, or have room again. Who is only in doubt keeps its
      // place instead.
      const bad = links.slice(first, last + 1)
      const peersOf = (some: readonly HopLink[]): PeerId[] => some.map((link) => link.hop.peer)
      const never = new Set([...liars, ...peersOf(bad.filter((link) => link.lost === undefined))])
      const latest = new Set([...never, ...recent])
      const untried = new Set([...latest, ...peersOf(bad)])
      const newest = new Set([...never, ...[...recent].slice(-1)])
      let before: number | undefined
      // Each of them holds the next one: those of one size are the same.
      for (const excluded of [new Set([...failed, ...untried]), untried, latest, newest, never]) {
        if (excluded.size === before) continue
        before = excluded.size
        const some = await ask(span, a.hop.numericsClass, excluded, options)
        if (typeof some !== 'string') return taken(excluded, { first, last, hops: some })
        problem = some
        // A chain of several classes gives the same bits only where each block keeps its own.
        if (replay === 'exact' && classes.size > 1) continue
        const whole = await ask(all, a.hop.numericsClass, excluded, options)
        if (typeof whole !== 'string') return taken(excluded, withoutEnds(links, whole, isBad))
      }
      return { problem }
    }
  }
}

function covers(hops: readonly PlannedHop[], span: { from: number; to: number }): boolean {
  let next = span.from
  for (const { from, to } of hops) {
    if (from !== next || to <= from) return false
    next = to
  }
  return next === span.to
}

/** What is the same at both ends of a chain and of a new plan stays. */
function withoutEnds(
  links: readonly HopLink[],
  hops: readonly PlannedHop[],
  isBad: (link: HopLink) => boolean
): Succession {
  const stays = (link: HopLink | undefined, hop: PlannedHop | undefined): boolean =>
    link !== undefined &&
    hop !== undefined &&
    !isBad(link) &&
    link.hop.peer === hop.peer &&
    link.hop.from === hop.from &&
    link.hop.to === hop.to
  let front = 0
  while (stays(links[front], hops[front])) front++
  let back = 0
  while (stays(links[links.length - 1 - back], hops[hops.length - 1 - back])) back++
  return { first: front, last: links.length - 1 - back, hops: hops.slice(front, hops.length - back) }
}
