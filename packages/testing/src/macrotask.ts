/** What some engines have for it, and others lack. */
const engine: { setImmediate?: (run: () => void) => unknown; [name: string]: unknown } = globalThis

/** Waits until everything that is ready to run has run: a turn of the event loop, without a timer. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    // Many times quicker, where there is one.
    if (engine.setImmediate !== undefined) return void engine.setImmediate(resolve)
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener('message', () => {
      port1.close()
      resolve()
    })
    port1.start()
    port2.postMessage(undefined)
  })
}
