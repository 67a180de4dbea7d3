import { expect, test } from 'vitest'
import { layouts } from './chaos/fleet.ts'
import { reportText } from './chaos/report.ts'
import { runChaos } from './chaos/run.ts'

// `pnpm chaos --seed N --minutes M` by hand; here a minute of each layout. Linux: it reads /proc, and the wire
// knows processes by their loopback addresses.
const model = process.env['KWAAI_MODEL_PATH'] as string

test.runIf(process.platform === 'linux').each([
  [1, 'twins'],
  [2, 'cuts']
] as const)('chaos, seed %i, layout %s', async (seed, layout) => {
  expect(Object.keys(layouts)).toContain(layout)
  const report = await runChaos({ seed, minutes: 1, layout, model })
  console.log(reportText(report))
  expect(report.findings).toEqual([])
  // Twenty of them undisturbed, before; some more in the midst of it, and one when it is over.
  expect(report.generations.ok).toBeGreaterThan(25)
  expect(Object.values(report.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(8)
})
