/** What all benchmarks share. */

/** The middle of some numbers, or the mean of the two in the middle. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** Three digits after the point. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000
}

/** Text-like ids: all ordinary tokens, the same in every run. */
export function promptOf(length: number, seed = 0): number[] {
  let state = 12_345 + seed
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return 300 + (state % 40_000)
  })
}

/** Runs a benchmark and ends the process, whatever is still open. */
export function run(main: () => Promise<void>): void {
  main().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
}
