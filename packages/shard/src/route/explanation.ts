import type { RouteExplanation } from '@kwaai/interface'
import type { Planning } from './plan.ts'

/** A planning in the words of a language model. */
export function explanationOf({ hops = [], relaxed, problem, explain }: Planning): RouteExplanation {
  return {
    chain: hops.map(({ peer, from, to, numericsClass = '' }) => ({ peer, from, to, numericsClass })),
    relaxed,
    ...(problem === undefined ? {} : { problem }),
    candidates: explain.map(({ advert, chosen, reason, failed }) => ({
      peer: advert.peer,
      from: advert.from,
      to: advert.to,
      numericsClass: advert.numericsClass,
      chosen,
      reason: chosen ? '' : reason,
      failed: [...new Set(failed.map(({ constraint }) => constraint))]
    }))
  }
}
