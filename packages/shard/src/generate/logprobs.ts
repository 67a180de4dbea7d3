/** A token and the natural logarithm of its probability. */
export interface RankedToken {
  token: number
  logprob: number
}

/** The logarithms of probabilities in one place of a text. */
export interface LogProbabilities {
  of(token: number): number
  /** The likeliest tokens in falling order, of equal ones the lower id first; none that cannot come. */
  top: readonly RankedToken[]
}

/**
 * Natural logarithms of probabilities from logits (log-softmax), the `count` likeliest of them by one walk.
 *
 * @param logits The model's own, before bias, penalties, masks and temperature.
 * @param count 0 to some tens: what is kept is sorted by insertion.
 */
export function logProbabilities(logits: Float32Array, count: number): LogProbabilities {
  let max = -Infinity
  for (let id = 0; id < logits.length; id++) max = Math.max(max, logits[id] as number)
  let sum = 0
  for (let id = 0; id < logits.length; id++) sum += Math.exp((logits[id] as number) - max)
  const logSum = Math.log(sum)
  const of = (token: number): number => Math.min(0, (logits[token] ?? -Infinity) - max - logSum)

  const top: number[] = []
  let least = -Infinity
  for (let id = 0; id < logits.length && count > 0; id++) {
    const value = logits[id] as number
    // Ids come in rising order, so that an equal one has its place behind.
    if (value === -Infinity || (top.length === count && value <= least)) continue
    if (top.length === count) top.pop()
    let place = top.length
    while (place > 0 && value > (logits[top[place - 1] as number] as number)) place--
    top.splice(place, 0, id)
    least = logits[top.at(-1) as number] as number
  }
  return { of, top: top.map((token) => ({ token, logprob: of(token) })) }
}
