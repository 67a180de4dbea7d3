import type { ChainHop, HopAccount } from '@kwaai/interface'
import { MAX_PROVENANCE_HOPS } from '../constants.ts'
import type { AnswerOutcome } from '../context.ts'
import type { ProvenanceRecord } from './record.ts'

/** What the host program knows of a model, and the model itself does not tell. */
export interface ModelFacts {
  /** The SHA-256 of its file, in hex. */
  sha256?: string
  /** True where no part of it is ever computed by another peer. Default: its chain tells. */
  local?: boolean
}

/** What a record is made of. */
export interface ProvenanceSource {
  outcome: AnswerOutcome
  facts: ModelFacts
  /** Whether a peer of a chain is this node itself. */
  isLocal: (peer: string) => boolean
  receipt: string | undefined
}

/** The record of an answer. Names that peers chose are cut to what a record may hold. */
export function describeAnswer(source: ProvenanceSource): ProvenanceRecord {
  const { outcome, facts, receipt } = source
  const { hops, relaxed, usage, finishReason, firstTokenMs } = outcome
  return {
    v: 1,
    id: outcome.id,
    kind: outcome.kind,
    model: { id: name(outcome.model), ...(facts.sha256 !== undefined && { sha256: facts.sha256 }) },
    created: outcome.created,
    outcome: outcome.outcome,
    ...(finishReason !== undefined && { finishReason }),
    ...(usage !== undefined && {
      usage: {
        promptTokens: usage.promptTokens,
        completionTokens: usage.completionTokens,
        cachedTokens: usage.cachedTokens
      }
    }),
    ...optional('firstTokenMs', firstTokenMs),
    durationMs: round(Math.max(0, outcome.durationMs)),
    ...(hops !== undefined && { hops: hops.slice(0, MAX_PROVENANCE_HOPS).map(account) }),
    disclosed: facts.local === true ? [] : disclosed(source),
    ...(relaxed !== undefined && relaxed.length > 0 && { relaxed: [...relaxed] }),
    ...(receipt !== undefined && receipt.length <= 4096 && { receipt })
  }
}

function disclosed({ outcome, isLocal }: ProvenanceSource): ProvenanceRecord['disclosed'] {
  // Both those who were asked first and those who computed in the end were sent something.
  const asked: ChainHop[] = [...(outcome.chain ?? []), ...(outcome.hops ?? [])]
  if (asked.length === 0) return 'unknown'
  const answered = outcome.firstTokenMs !== undefined || (outcome.usage?.completionTokens ?? 0) > 0
  const remote = new Map<string, Disclosure>()
  for (const { peer: given, from, to } of asked) {
    if (isLocal(given)) continue
    if (remote.size >= 2 * MAX_PROVENANCE_HOPS) break
    const peer = foreign(given, maxPeer)
    remote.set(`${peer} ${from} ${to}`, {
      peer,
      from,
      to,
      data: from === 0 ? 'token-embeddings' : 'hidden-states',
      of: answered ? ['prompt', 'answer'] : ['prompt']
    })
  }
  return [...remote.values()]
}

type Disclosure = Exclude<ProvenanceRecord['disclosed'], 'unknown'>[number]
type Hop = NonNullable<ProvenanceRecord['hops']>[number]

function account(hop: HopAccount): Hop {
  return {
    peer: foreign(hop.peer, maxPeer),
    from: hop.from,
    to: hop.to,
    numericsClass: foreign(hop.numericsClass, maxClass),
    ...optional('computeMs', hop.computeMs),
    ...optional('queueMs', hop.queueMs),
    ...optional('rttMs', hop.rttMs),
    ...(hop.steps !== undefined && Number.isSafeInteger(hop.steps) && hop.steps >= 0 && { steps: hop.steps })
  }
}

/** A number a peer may have made up: what is none, or below zero, is left out. */
function optional<K extends string>(key: K, ms: number | undefined): { [P in K]?: number } {
  const fields: { [P in K]?: number } = {}
  if (ms !== undefined && Number.isFinite(ms) && ms >= 0) fields[key] = round(ms)
  return fields
}

/** Microseconds are more than clocks across processes tell. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000
}

// A peer id has 52 characters; sessions take classes of at most 256.
const maxPeer = 128
const maxClass = 256

/** A name a peer chose: what is not plain ASCII would let it grow a record beyond what is kept. */
function foreign(text: string, max: number): string {
  return text.slice(0, max).replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?')
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** At most 512 characters, whole ones: half of a pair is replaced, for JSON could not be signed with it. */
function name(text: string): string {
  return decoder.decode(encoder.encode(text.slice(0, 512)))
}
