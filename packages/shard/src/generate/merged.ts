/**
 * Runs several sources side by side and hands on what they tell as it comes, of each source in its order. None is
 * asked for more before what it told last was taken, so that whoever reads slowly slows all of them down.
 *
 * @param more Asked at the beginning and whenever something came: another source to run, if there is one.
 * @param stop Called before sources that still run are ended, so that they end soon. The first failure ends all.
 */
export async function* merged<T>(
  more: () => AsyncGenerator<T> | undefined,
  stop: () => void
): AsyncGenerator<T> {
  const running = new Set<AsyncGenerator<T>>()
  const told: { source: AsyncGenerator<T>; result: IteratorResult<T, unknown> }[] = []
  let failed: { error: unknown } | undefined
  let wake = (): void => undefined

  const ask = (source: AsyncGenerator<T>): void => {
    source.next().then(
      (result) => {
        told.push({ source, result })
        wake()
      },
      (error: unknown) => {
        failed ??= { error }
        wake()
      }
    )
  }

  try {
    for (;;) {
      for (let source = more(); source !== undefined; source = more()) {
        running.add(source)
        ask(source)
      }
      if (running.size === 0) return
      if (told.length === 0 && failed === undefined) await new Promise<void>((resolve) => (wake = resolve))
      if (failed !== undefined) throw failed.error
      const next = told.shift()
      if (next === undefined) continue
      if (next.result.done === true) {
        running.delete(next.source)
        continue
      }
      yield next.result.value
      ask(next.source)
    }
  } finally {
    stop()
    await Promise.allSettled([...running].map((source) => source.return(undefined)))
  }
}
