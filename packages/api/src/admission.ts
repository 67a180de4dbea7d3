import { deadlineSignal, type CallOptions, type Clock, type Logger, type Meter } from '@kwaai/interface'
import { SETTLE_TIMEOUT_MS } from './constants.ts'
import type { Admission, AnswerOutcome } from './context.ts'
import { RequestRefused, retryHeaders, textOf } from './refusals.ts'

/** An answer that has ended, and whose it was. */
export interface EndedAnswer {
  outcome: AnswerOutcome
  caller: string | undefined
  /** What the meter handed over for it. */
  receipt: string | undefined
}

/** Keeps what is to be known of an answer later, such as who computed it. */
export interface OutcomeRecorder {
  record(ended: EndedAnswer, options: CallOptions): Promise<void> | void
}

/** Who takes a place. */
export interface AdmissionRequest {
  requestId: string
  caller: string | undefined
  /** Begins an answer by the caller's limits. @returns what is told the tokens it took. */
  begin?: (() => (tokens: number) => void) | undefined
}

/** The places for answers under way. */
export interface Admissions {
  /** @throws A `RequestRefused` with 429 when all places are taken, or what `begin` throws. */
  admit(request: AdmissionRequest): Admission
  /** Answers under way. */
  running(): number
}

/** How many places there are. */
export interface AdmissionsInit {
  maxGenerations: number
  retryAfterMs: number
}

/** Who is told what became of each answer. */
export interface AdmissionsComponents {
  clock: Clock
  logger: Logger | undefined
  meter: Meter | undefined
  recorders: readonly OutcomeRecorder[]
  /** Counts it. */
  count: (outcome: AnswerOutcome) => void
}

/** Counts the answers under way, and tells everybody concerned of each one's end, once. */
export function createAdmissions(init: AdmissionsInit, components: AdmissionsComponents): Admissions {
  const { maxGenerations } = init
  const { clock, logger, meter, recorders } = components
  let running = 0

  const log = ({ requestId, caller }: AdmissionRequest, outcome: AnswerOutcome): void => {
    logger?.log('info', 'api.generation', {
      requestId,
      ...(caller !== undefined && { caller }),
      id: outcome.id,
      kind: outcome.kind,
      model: outcome.model,
      stream: outcome.stream,
      outcome: outcome.outcome,
      ...(outcome.finishReason !== undefined && { finishReason: outcome.finishReason }),
      ...outcome.usage,
      ...(outcome.firstTokenMs !== undefined && { firstTokenMs: outcome.firstTokenMs }),
      durationMs: outcome.durationMs
    })
  }

  /** Whoever is told harms no answer: not by an error, and not by taking long. */
  const harmless = async <T>(
    requestId: string,
    what: string,
    work: (options: CallOptions) => Promise<T> | T
  ): Promise<T | undefined> => {
    const deadline = deadlineSignal(clock, SETTLE_TIMEOUT_MS, () => new Error('it took too long'))
    try {
      return await orAborted(async () => work({ signal: deadline.signal }), deadline.signal)
    } catch (error) {
      logger?.log('warn', `api.${what}-failed`, { requestId, error: textOf(error) })
      return undefined
    } finally {
      deadline.clear()
    }
  }

  // A client that leaves has used what was made for it; what we fail to answer is nobody's debt.
  const metered = (to: Meter, caller: string | undefined, { id, usage, outcome }: AnswerOutcome): void => {
    if (outcome === 'failed') return
    const amounts = {
      'prompt-tokens': usage?.promptTokens ?? 0,
      'completion-tokens': usage?.completionTokens ?? 0,
      'cached-tokens': usage?.cachedTokens ?? 0
    }
    for (const [unit, amount] of Object.entries(amounts))
      if (amount > 0) to.add({ account: caller ?? 'anonymous', unit, amount, reference: id })
  }

  const settle = async (
    { requestId, caller }: AdmissionRequest,
    outcome: AnswerOutcome
  ): Promise<string | undefined> => {
    const receipt =
      meter &&
      (await harmless(requestId, 'meter', (options) => {
        metered(meter, caller, outcome)
        return meter.receipt?.(outcome.id, options)
      }))
    await Promise.all(
      recorders.map((recorder) =>
        harmless(requestId, 'recorder', (options) => recorder.record({ outcome, caller, receipt }, options))
      )
    )
    return receipt
  }

  const admit = (request: AdmissionRequest): Admission => {
    if (running >= maxGenerations)
      throw new RequestRefused({
        status: 429,
        type: 'rate_limit_error',
        code: 'too_many_generations',
        message: `The server already runs ${running} generations; try again later`,
        headers: retryHeaders(init.retryAfterMs)
      })
    const took = request.begin?.()
    running += 1
    let held = true
    const giveBack = (tokens: number): boolean => {
      if (!held) return false
      held = false
      running -= 1
      took?.(tokens)
      return true
    }
    return {
      release: () => void giveBack(0),
      async end(outcome) {
        const { usage } = outcome
        if (!giveBack((usage?.promptTokens ?? 0) + (usage?.completionTokens ?? 0))) return undefined
        components.count(outcome)
        log(request, outcome)
        if (meter === undefined && recorders.length === 0) return undefined
        return await settle(request, outcome)
      }
    }
  }

  return { admit, running: () => running }
}

/** Work that does not listen to its signal still holds nobody up. */
function orAborted<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    work().then(resolve, reject)
  })
}
