import type { Step } from './program.ts'

/** Divides the bytes into classes that every step treats alike. */
export function byteClasses(steps: readonly Step[]): {
  classOf: Uint8Array
  classes: number
  accepts: (readonly boolean[] | undefined)[]
} {
  const cuts = new Set([0])
  for (const step of steps) {
    if (step.op !== 'bytes') continue
    for (const [from, to] of step.ranges) {
      cuts.add(from)
      cuts.add(to + 1)
    }
  }
  const classOf = new Uint8Array(256)
  let last = -1
  const first: number[] = []
  for (let byte = 0; byte < 256; byte++) {
    if (cuts.has(byte)) {
      last++
      first.push(byte)
    }
    classOf[byte] = last
  }
  const rows = new Map<unknown, boolean[]>()
  const accepts = steps.map((step) => {
    if (step.op !== 'bytes') return undefined
    const known = rows.get(step.ranges)
    if (known !== undefined) return known
    // Long texts have many steps for few sets of bytes.
    const name = step.ranges.join(';')
    const row =
      rows.get(name) ?? first.map((byte) => step.ranges.some(([from, to]) => byte >= from && byte <= to))
    rows.set(name, row)
    rows.set(step.ranges, row)
    return row
  })
  return { classOf, classes: first.length, accepts }
}
