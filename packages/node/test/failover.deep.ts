import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOracle, type Oracle } from '../../shard/test/oracle/index.ts'
import { killedAt, measureFailover, type Failover } from './failover.ts'

// One of three servers is killed in mid-answer: the text is llama.cpp's, and a table says what it cost.
const path = process.env['KWAAI_MODEL_PATH'] as string
const results: Failover[] = []
let oracle: Oracle
beforeAll(async () => {
  oracle = await createOracle()
})
afterAll(async () => {
  console.table(
    results.map(({ topology, context, stallMs, replayedRows, tokenMs, startMs }) => ({
      topology,
      context,
      'stall ms': Math.round(stallMs),
      'replayed rows': replayedRows,
      'token ms': Math.round(tokenMs),
      'asked again ms': Math.round(startMs)
    }))
  )
  await oracle?.[Symbol.asyncDispose]()
})

test.each([
  ['push', 100],
  ['push', 600],
  ['star', 100],
  ['star', 600]
] as const)('%s, context %i: the same text after a kill at token 30', async (topology, context) => {
  // Throws where a token differs from llama.cpp's.
  const result = await measureFailover({ path, oracle, topology, context })
  results.push(result)
  // All rows that were there, each once: the prompt's and those of the tokens before the kill.
  expect(result.replayedRows).toBeGreaterThanOrEqual(context + killedAt - 2)
  expect(result.replayedRows).toBeLessThanOrEqual(context + killedAt + 1)
  expect(result.stallMs).toBeLessThan(30_000)
})
