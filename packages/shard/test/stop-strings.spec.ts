import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createStopStrings } from '../src/generate/index.ts'

/** What shows of pieces, and whether a stop string ended them. */
function run(stops: readonly string[], pieces: readonly string[]): { shown: string[]; stopped: boolean } {
  const watch = createStopStrings(stops)
  const shown: string[] = []
  for (const piece of pieces) {
    const { text, stopped } = watch.push(piece)
    shown.push(text)
    if (stopped) return { shown, stopped }
  }
  shown.push(watch.flush())
  return { shown, stopped: false }
}

/** The same, said plainly: the text up to the stop string that is complete first. */
function oracle(stops: readonly string[], text: string): { shown: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length)
    if (found.length > 0) return { shown: text.slice(0, end - Math.max(...found)), stopped: true }
  }
  return { shown: text, stopped: false }
}

// Two letters only, so that stop strings are met, half met and overlap.
const letters = (maxLength: number, minLength = 0) =>
  fc.string({ unit: fc.constantFrom('a', 'b'), minLength, maxLength })
const stopLists = fc.array(letters(5, 1), { maxLength: 4 })

test('what shows is what the plain rule says, however the text is cut', () => {
  fc.assert(
    fc.property(stopLists, fc.array(letters(6)), (stops, pieces) => {
      const { shown, stopped } = run(stops, pieces)
      expect({ shown: shown.join(''), stopped }).toEqual(oracle(stops, pieces.join('')))
    }),
    { numRuns: 2_000 }
  )
})

test('no part of a stop string ever shows before it is known to be none', () => {
  fc.assert(
    fc.property(stopLists, fc.array(letters(6)), (stops, pieces) => {
      const final = oracle(stops, pieces.join('')).shown
      let text = ''
      for (const piece of run(stops, pieces).shown) {
        text += piece
        expect(final.startsWith(text)).toBe(true)
      }
    })
  )
})

test('no more is held back than the longest stop string less one character', () => {
  fc.assert(
    fc.property(stopLists, letters(40), (stops, text) => {
      const watch = createStopStrings(stops)
      let shown = 0
      for (let i = 0; i < text.length; i++) {
        const step = watch.push(text[i] as string)
        if (step.stopped) return
        shown += step.text.length
        const longest = Math.max(1, ...stops.map((stop) => stop.length))
        expect(i + 1 - shown).toBeLessThan(longest)
      }
    })
  )
})

test('a stop string across pieces is cut, one that fails shows whole', () => {
  expect(run(['</answer>'], ['yes</an', 'swer', '>no'])).toEqual({ shown: ['yes', '', ''], stopped: true })
  expect(run(['</answer>'], ['yes</an', 'other'])).toEqual({
    shown: ['yes', '</another', ''],
    stopped: false
  })
  expect(run(['END'], ['the EN'])).toEqual({ shown: ['the ', 'EN'], stopped: false })
})

test('characters of two units are held and cut whole', () => {
  expect(run(['😀!'], ['a😀', '😀', '!b'])).toEqual({ shown: ['a', '😀', ''], stopped: true })
})
