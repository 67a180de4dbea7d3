import { peerIdFromPublicKey, seal } from '@kwaai/identity'
import { KwaaiError, type Clock, type Did, type KeyValueStore, type Signer } from '@kwaai/interface'
import type { EndedAnswer, OutcomeRecorder } from '../admission.ts'
import { createCallerStore } from '../caller-store.ts'
import {
  DEFAULT_PROVENANCE_BYTES,
  DEFAULT_PROVENANCE_PER_CALLER,
  DEFAULT_PROVENANCE_TTL_MS,
  MAX_PROVENANCE_BYTES,
  PROVENANCE_CONTEXT
} from '../constants.ts'
import type { Handler } from '../context.ts'
import { RequestRefused } from '../refusals.ts'
import { reply } from '../replies.ts'
import { toBase64Url } from './base64url.ts'
import { canonicalJson } from './canonical-json.ts'
import { describeAnswer, type ModelFacts } from './describe.ts'
import type { ProvenanceRecord } from './record.ts'

/** How the provenance of answers is kept. */
export interface ProvenanceInit {
  /** How long. Default 30 days. */
  ttlMs?: number
  /** Records of one caller at most; the oldest goes first. Default 10,000. */
  maxPerCaller?: number
  /** Bytes of all records together; the oldest of the caller who has most goes first. Default 16 MiB. */
  maxBytes?: number
  /** What is known of a model beyond what it tells. */
  model?: (id: string) => ModelFacts | undefined
  /** Names under which this node itself stands in chains. Default: the peer id of the signer, and `local`. */
  localPeers?: readonly string[]
}

/** What it works with. */
export interface ProvenanceComponents {
  store: KeyValueStore
  clock: Clock
  signer: Signer
}

/** What `GET /v1/kwaai/provenance/{id}` answers. `verifyProvenance` checks it, wherever it was copied to. */
export interface ProvenanceObject {
  object: 'kwaai.provenance'
  /** The id of the answer. */
  id: string
  signer: Did
  /** The signed envelope in base64url. */
  envelope: string
  /** What the envelope holds, to be read. */
  record: ProvenanceRecord
}

/** Keeps who computed each answer, and tells whoever got it. */
export interface Provenance extends OutcomeRecorder {
  /** Answers `GET /v1/kwaai/provenance/:id`. */
  readonly handler: Handler
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Keeps a record of each answer whose caller is known by name. It is signed when it is asked for: most never are.
 * @throws A KwaaiError `ERR_API_INVALID_INIT` when a number is not a positive one.
 */
export function createProvenance(init: ProvenanceInit, components: ProvenanceComponents): Provenance {
  const { signer, store, clock } = components
  const bounds = {
    ttlMs: init.ttlMs ?? DEFAULT_PROVENANCE_TTL_MS,
    maxPerCaller: init.maxPerCaller ?? DEFAULT_PROVENANCE_PER_CALLER,
    maxBytes: init.maxBytes ?? DEFAULT_PROVENANCE_BYTES
  }
  for (const [option, value] of Object.entries(bounds))
    if (!(Number.isFinite(value) && value > 0))
      throw new KwaaiError(
        'ERR_API_INVALID_INIT',
        `Cannot make the API: ${option} of provenance is ${value}, it has to be a positive number`
      )
  // A third of what a file may have: in base64url, and readable beside it, it still fits.
  const maxValueBytes = MAX_PROVENANCE_BYTES / 3
  const records = createCallerStore({ prefix: 'api/provenance', ...bounds, maxValueBytes }, { store, clock })
  const local = new Set<string>(init.localPeers ?? ['local', peerIdFromPublicKey(signer.publicKey)])

  const record = async ({ outcome, caller, receipt }: EndedAnswer): Promise<void> => {
    if (caller === undefined) return
    const facts = init.model?.(outcome.model) ?? {}
    const described = describeAnswer({ outcome, facts, receipt, isLocal: (peer) => local.has(peer) })
    if (!(await records.put(caller, outcome.id, encoder.encode(canonicalJson({ ...described })))))
      throw new KwaaiError(
        'ERR_API_INVALID_INIT',
        `Cannot keep the record: maxBytes of provenance is too small`
      )
  }

  const handler: Handler = async ({ request, caller, params }) => {
    const id = params['id'] ?? ''
    const payload =
      caller === undefined || !/^[\w-]{1,128}$/.test(id)
        ? undefined
        : await records.get(caller, id, { signal: request.signal })
    if (payload === undefined)
      throw new RequestRefused({
        status: 404,
        code: 'provenance_not_found',
        message: `There is no provenance of an answer '${id.slice(0, 100)}' of yours`
      })
    const answer: ProvenanceObject = {
      object: 'kwaai.provenance',
      id,
      signer: signer.did,
      envelope: toBase64Url(await seal(signer, PROVENANCE_CONTEXT, payload)),
      // Nobody but `record` above writes under these keys.
      record: JSON.parse(decoder.decode(payload)) as ProvenanceRecord
    }
    return reply(answer)
  }

  return { record, handler }
}

/** Answers where there is no signer. */
export const noProvenanceHandler: Handler = async () => {
  throw new RequestRefused({
    status: 404,
    code: 'provenance_not_available',
    message: 'This server has no identity to sign with, so it keeps no provenance'
  })
}
