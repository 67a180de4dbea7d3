// Rows that go from server to server: the same bits as from one place, and only to those who expect them.
import { describe, expect, test, afterEach } from 'vitest'
import { alone, answerOf, createStage, keyOf, pushChain, rowsOf, type Stage } from './session-kit.ts'

let stage: Stage
afterEach(() => stage.stop())

const cuts = [0, 2, 3, 6]
const story = [
  { step: 1, past: 0, hidden: rowsOf(4, 1), kernel: 'tile' as const },
  { step: 2, past: 4, hidden: rowsOf(1, 2), kernel: 'vec' as const },
  { step: 3, past: 5, hidden: rowsOf(1, 3), kernel: 'vec' as const },
  { step: 4, past: 3, hidden: rowsOf(2, 4), kernel: 'vec' as const },
  { step: 5, past: 5, hidden: rowsOf(1, 5), kernel: 'vec' as const }
]

describe('a chain in which servers hand rows on', () => {
  test('gives the bits of one place, with a stamp of every hop', async () => {
    stage = await createStage(cuts)
    const chain = await pushChain(stage)
    const expected = await alone(6, story)
    for (const [index, step] of story.entries()) {
      const frame = await chain.step(step)
      expect(answerOf(frame)).toEqual(expected[index])
      expect(frame.body.value).toMatchObject({
        step: step.step,
        past: step.past + step.hidden.length / 8,
        stamps: [
          { from: 0, to: 2 },
          { from: 2, to: 3 }
        ]
      })
    }
  })
})
void keyOf
