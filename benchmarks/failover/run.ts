import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { ensureModel } from '@kwaai/node'
import { measureFailover, type Failover } from '../../packages/node/test/failover.ts'
import { createOracle } from '../../packages/shard/test/oracle/index.ts'
import { median, round, run } from '../kit.ts'

const { values } = parseArgs({
  // pnpm hands the separator on.
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: {
    contexts: { type: 'string', default: '100,600' },
    rounds: { type: 'string', default: '3' }
  }
})
const contexts = values.contexts.split(',').map(Number)
const rounds = Number(values.rounds)

async function main(): Promise<void> {
  const { path } = await ensureModel({ onNote: (text) => console.error(text) })
  const results: Failover[] = []
  {
    await using oracle = await createOracle({ path })
    for (const topology of ['push', 'star'] as const) {
      for (const context of contexts) {
        for (let turn = 0; turn < rounds; turn++) {
          const result = await measureFailover({ path, oracle, topology, context })
          results.push(result)
          console.error(`${topology}, context ${context}: stall ${result.stallMs.toFixed(0)} ms`)
        }
      }
    }
  }
  const rows = (['push', 'star'] as const).flatMap((topology) =>
    contexts.map((context) => {
      const those = results.filter((one) => one.topology === topology && one.context === context)
      const stallMs = median(those.map((one) => one.stallMs))
      const startMs = median(those.map((one) => one.startMs))
      return {
        name: `${topology}, context ${context}: the stall`,
        unit: 'ms',
        ours: round(stallMs),
        theirs: round(startMs),
        ratio: Math.round((100 * startMs) / stallMs) / 100,
        replayedRows: those[0]?.replayedRows,
        tokenMs: round(median(those.map((one) => one.tokenMs))),
        spread: {
          ours: [Math.min, Math.max].map((pick) => round(pick(...those.map((one) => one.stallMs)))),
          theirs: [Math.min, Math.max].map((pick) => round(pick(...those.map((one) => one.startMs))))
        }
      }
    })
  )
  console.table(
    rows.map(({ name, ours, theirs, replayedRows, tokenMs }) => ({
      name,
      'stall ms': ours,
      'asked again ms': theirs,
      'replayed rows': replayedRows,
      'token ms': tokenMs
    }))
  )
  console.log(
    JSON.stringify({
      question: 'How long does an answer stand still when one of three servers is killed at token 30 of 120?',
      peer: 'asking again: the prompt and the thirty tokens from the beginning, with the twin in place',
      cpu: cpus()[0]?.model,
      // Of the minute before the end: what others did to the machine is in it.
      load: loadavg()[0],
      rounds,
      rows
    })
  )
}

run(main)
