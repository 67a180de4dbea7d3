import type { Logger } from '@kwaai/interface'
import type { Admission, AnswerOutcome } from './context.ts'
import { RequestRefused, retryHeaders } from './refusals.ts'

/** Who takes a place. */
export interface AdmissionRequest {
  requestId: string
  caller: string | undefined
}

/** The places for answers under way. */
export interface Admissions {
  /** @throws A `RequestRefused` with 429 when all places are taken. */
  admit(request: AdmissionRequest): Admission
  /** Answers under way. */
  running(): number
}

/** How many places there are, and who is told what became of each. */
export interface AdmissionsInit {
  maxGenerations: number
  retryAfterMs: number
  logger: Logger | undefined
}

/** Counts the answers under way, and tells everybody concerned of each one's end, once. */
export function createAdmissions(init: AdmissionsInit): Admissions {
  const { maxGenerations, logger } = init
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

  const admit = (request: AdmissionRequest): Admission => {
    if (running >= maxGenerations)
      throw new RequestRefused({
        status: 429,
        type: 'rate_limit_error',
        code: 'too_many_generations',
        message: `The server already runs ${running} generations; try again later`,
        headers: retryHeaders(init.retryAfterMs)
      })
    running += 1
    let held = true
    const release = (): void => {
      if (held) running -= 1
      held = false
    }
    return {
      release,
      async end(outcome) {
        if (!held) return undefined
        release()
        log(request, outcome)
        return undefined
      }
    }
  }

  return { admit, running: () => running }
}
