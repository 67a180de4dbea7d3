import type { BlockRunner, CallOptions, Clock } from '@kwaai/interface'

const measuredRows = 3

/**
 * Generated rows a second a runner manages alone: the median of three single rows after a first one that
 * warms it up; 0 when the clock stood still.
 */
export async function measureRunner(
  runner: BlockRunner,
  clock: Clock,
  options: CallOptions = {}
): Promise<number> {
  const session = await runner.open({ maxTokens: 1 + measuredRows }, options)
  try {
    const times: number[] = []
    for (let past = 0; past <= measuredRows; past++) {
      const begun = clock.monotonic()
      const hidden = new Float32Array(runner.shape.hiddenSize).fill(0.1)
      await runner.forward([{ session, past, hidden, kernel: 'vec' }], options)
      if (past > 0) times.push(clock.monotonic() - begun)
    }
    const median = times.toSorted((a, b) => a - b)[measuredRows >> 1] as number
    return median > 0 ? 1000 / median : 0
  } finally {
    await runner.close(session)
  }
}
