/** Who came lately, and before: as many different callers as this tells keep coming. */
export interface Company {
  /** Callers among the latest calls. */
  readonly size: number
  /** @param caller an object of its own, the same each time; without one, and the first time, it is not counted. */
  came(caller: object | undefined): void
}

/** @param remembered calls that count. */
export function createCompany(remembered: number): Company {
  // Numbers instead of the callers themselves, which may be gone.
  const numbers = new WeakMap<object, number>()
  const latest: number[] = []
  let next = 1
  return {
    get size() {
      return new Set(latest).size - (latest.includes(0) ? 1 : 0)
    },
    came(caller) {
      const known = caller === undefined ? undefined : numbers.get(caller)
      if (caller !== undefined && known === undefined) numbers.set(caller, next++)
      latest.push(known ?? 0)
      if (latest.length > remembered) latest.shift()
    }
  }
}
