import type { GenerationOptions, Random } from '@kwaai/interface'
import { shardError } from '../errors.ts'
import { seededNumbers } from './prng.ts'

/** What decides how a token is chosen. */
export type SamplerOptions = Pick<
  GenerationOptions,
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'repetitionPenalty'
  | 'frequencyPenalty'
  | 'presencePenalty'
  | 'logitBias'
  | 'seed'
>

/** Chooses tokens and remembers them. */
export interface Sampler {
  /** Tells of tokens that were there before the first one was chosen; only the repetition penalty counts them. */
  see(tokens: Iterable<number>): void
  /**
   * Chooses a token; it counts as generated from then on. `logits` is left as it is.
   *
   * @param mask The tokens that may be chosen, a bit each, as `GrammarMatcher.mask` has it. Default: all.
   * @throws A KwaaiError `ERR_GENERATE_INVALID_LOGITS` when a logit is NaN or +∞, or none is finite;
   * `ERR_GENERATE_FAILED` for a mask that lets in no token.
   */
  next(logits: Float32Array, mask?: Int32Array): number
}

/** A cut through the tokens in falling order of their logits: kept are those before it, and itself. */
interface Cut {
  logit: number
  id: number
}

/**
 * The steps, in this order (llama.cpp's default chain: `logit_bias`, `penalties`, `top_k`, `top_p`, `min_p`,
 * `temperature`): bias; repetition, then frequency and presence penalty; the mask, so that none of these can let
 * in what it leaves out; temperature 0 ends here with the largest logit, the lowest id winning ties; the k
 * likeliest; the smallest set that reaches `topP`; those of at least `minP` times the likeliest; the draw, with
 * probabilities proportional to exp(logit / temperature).
 *
 * The repetition penalty counts the prompt and the answer (Keskar et al. 2019, CTRL, section 4.1); frequency
 * and presence count the answer alone (OpenAI's definition).
 */
export function createSampler(options: SamplerOptions, components: { random: Random }): Sampler {
  const {
    temperature = 1,
    topK = 0,
    topP = 1,
    minP = 0,
    repetitionPenalty = 1,
    frequencyPenalty = 0,
    presencePenalty = 0,
    logitBias = {},
    seed
  } = options
  const draw = seed === undefined ? () => components.random.next() : seededNumbers(seed)
  const bias = Object.entries(logitBias).map(([id, value]) => [Number(id), value] as const)
  const seen = new Set<number>()
  const generated = new Map<number, number>()

  // Kept from token to token: a new one each time would be megabytes of garbage a second.
  let values = new Float64Array(0)
  const adjust = (logits: Float32Array): Float64Array => {
    if (values.length !== logits.length) values = new Float64Array(logits.length)
    values.set(logits)
    for (const [id, value] of bias) if (id < values.length) values[id] = (values[id] as number) + value
    if (repetitionPenalty !== 1) {
      for (const id of seen) {
        const value = values[id]
        if (value !== undefined)
          values[id] = value > 0 ? value / repetitionPenalty : value * repetitionPenalty
      }
    }
    for (const [id, count] of generated) {
      values[id] = (values[id] as number) - count * frequencyPenalty - presencePenalty
    }
    return values
  }

  const choose = (values: Float64Array, mask: Int32Array | undefined): number => {
    const top = argmax(values)
    // Of the tokens a mask lets in, a model may rule out every one.
    if (values[top] === -Infinity) return firstOf(mask, values.length)
    if (temperature === 0) return top
    const cut = narrow(values, top, { topK, topP, minP })
    return drawBelow(values, cut, values[top] as number, temperature, draw())
  }

  return {
    see(tokens) {
      for (const token of tokens) seen.add(token)
    },
    next(logits, mask) {
      const values = adjust(checkLogits(logits))
      if (mask !== undefined) applyMask(values, mask)
      const token = choose(values, mask)
      seen.add(token)
      generated.set(token, (generated.get(token) ?? 0) + 1)
      return token
    }
  }
}

function checkLogits(logits: Float32Array): Float32Array {
  let some = false
  for (let id = 0; id < logits.length; id++) {
    const value = logits[id] as number
    if (Number.isNaN(value) || value === Infinity) {
      throw shardError('ERR_GENERATE_INVALID_LOGITS', `Cannot choose a token: logit ${id} is ${value}`, {
        details: { token: id }
      })
    }
    if (value !== -Infinity) some = true
  }
  if (!some) throw shardError('ERR_GENERATE_INVALID_LOGITS', 'Cannot choose a token: no logit is finite')
  return logits
}

/** Rules out what the mask does not let in. */
function applyMask(values: Float64Array, mask: Int32Array): void {
  for (let word = 0; word * 32 < values.length; word++) {
    const bits = mask[word] ?? 0
    if (bits === -1) continue
    const from = word * 32
    const to = Math.min(from + 32, values.length)
    if (bits === 0) values.fill(-Infinity, from, to)
    else for (let id = from; id < to; id++) if (((bits >>> (id & 31)) & 1) === 0) values[id] = -Infinity
  }
}

/** The lowest token a mask lets in. */
function firstOf(mask: Int32Array | undefined, size: number): number {
  for (let id = 0; id < size; id++) if ((((mask?.[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1) return id
  throw shardError('ERR_GENERATE_FAILED', 'Cannot choose a token: what the text has to follow lets in none')
}

/** The place of the largest value, the first of equals. */
function argmax(values: Float64Array): number {
  let best = 0
  for (let id = 1; id < values.length; id++) {
    if ((values[id] as number) > (values[best] as number)) best = id
  }
  return best
}

/** Token ids in falling order of their values, of equal ones the lower id first; those from a threshold on. */
function ranked(values: Float64Array, threshold: number): number[] {
  const ids: number[] = []
  for (let id = 0; id < values.length; id++) if ((values[id] as number) >= threshold) ids.push(id)
  return ids.toSorted((a, b) => (values[b] as number) - (values[a] as number) || a - b)
}

/**
 * How far below the largest logit tokens are sorted, one after the other until they are enough: the few that are kept
 * stand mostly within the first, and to sort these is to sort them all. Last come all that are not ruled out.
 */
const depths = [4, 8, 16, Infinity] as const

/** The last token that is kept of the k likeliest, and of the smallest set that reaches `topP`. */
function lastKept(values: Float64Array, max: number, topK: number, topP: number): number {
  const massOf = (list: Iterable<number>): number => {
    let mass = 0
    for (const value of list) mass += Math.exp(value - max)
    return mass
  }
  const limitK = topK > 0 && topK < values.length
  const all = topP < 1 && !limitK ? massOf(values) : 0
  for (const depth of depths) {
    const order = ranked(values, Math.max(max - depth, -Number.MAX_VALUE))
    const enough = depth === Infinity || (limitK && order.length >= topK)
    if (limitK && !enough) continue
    if (limitK) order.length = Math.min(order.length, topK)
    if (topP === 1) return order.at(-1) as number
    const total = limitK ? massOf(order.map((id) => values[id] as number)) : all
    const place = reach(order, values, max, topP * total)
    if (place !== undefined || enough) return order[place ?? order.length - 1] as number
  }
  return values.length - 1
}

function narrow(
  values: Float64Array,
  top: number,
  { topK, topP, minP }: { topK: number; topP: number; minP: number }
): Cut {
  const max = values[top] as number
  let cut: Cut = { logit: -Infinity, id: values.length }
  if ((topK > 0 && topK < values.length) || topP < 1) {
    const last = lastKept(values, max, topK, topP)
    cut = { logit: values[last] as number, id: last }
  }
  // log(minP) below the likeliest; no probabilities needed.
  const floor = minP > 0 ? max + Math.log(minP) : -Infinity
  return floor > cut.logit ? { logit: floor, id: values.length } : cut
}

/** Where the running sum of the weights reaches `mass`. */
function reach(
  order: readonly number[],
  values: Float64Array,
  max: number,
  mass: number
): number | undefined {
  let sum = 0
  for (let place = 0; place < order.length; place++) {
    sum += Math.exp((values[order[place] as number] as number) - max)
    if (sum >= mass) return place
  }
  return undefined
}

/** One draw among the tokens up to the cut, walked in the order of their ids. */
function drawBelow(
  values: Float64Array,
  cut: Cut,
  max: number,
  temperature: number,
  uniform: number
): number {
  const weight = (id: number): number => {
    const value = values[id] as number
    const kept = value > cut.logit || (value === cut.logit && id <= cut.id)
    return kept ? Math.exp((value - max) / temperature) : 0
  }
  let total = 0
  for (let id = 0; id < values.length; id++) total += weight(id)
  let rest = uniform * total
  let last = 0
  for (let id = 0; id < values.length; id++) {
    const mass = weight(id)
    if (mass === 0) continue
    last = id
    rest -= mass
    if (rest < 0) return id
  }
  // Rounding can leave a crumb of the sum; it belongs to the last token.
  return last
}
