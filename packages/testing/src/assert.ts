import { KwaaiError } from '@kwaai/interface'

/** What a suite needs of a test runner: `test(name, run)`, as vitest, jest, mocha and `node:test` have it. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown

function show(value: unknown): string {
  if (value instanceof Uint8Array) {
    const hex = [...value.subarray(0, 32)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    return `${value.length} bytes ${hex}${value.length > 32 ? ' …' : ''}`
  }
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value))
}

/** Throws an error with the message unless the condition holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (condition === undefined || condition === null || condition === false || condition === 0) {
    throw new Error(message)
  }
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (ArrayBuffer.isView(a) || ArrayBuffer.isView(b)) {
    if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
    return true
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const left = Object.entries(a)
  const right = new Map<string, unknown>(Object.entries(b))
  return (
    left.length === right.size && left.every(([key, value]) => right.has(key) && same(value, right.get(key)))
  )
}

/** Throws unless the two are equal: by value for plain records, arrays and byte arrays. */
export function assertEqual<T>(actual: T, expected: T, what: string): void {
  if (!same(actual, expected)) throw new Error(`${what}: expected ${show(expected)}, got ${show(actual)}`)
}

/** Waits for a rejection and returns its reason. */
export async function assertRejects(promise: Promise<unknown>, what: string): Promise<unknown> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (reason: unknown) => ({ reason })
  )
  if ('reason' in outcome) return outcome.reason
  throw new Error(`${what}: expected a rejection, got ${show(outcome.value)}`)
}

/** Waits for a rejection with a `KwaaiError` of one of the codes, and returns it. */
export async function assertRejectsWith(
  promise: Promise<unknown>,
  codes: string | readonly string[],
  what: string
): Promise<KwaaiError> {
  const reason = await assertRejects(promise, what)
  const wanted = typeof codes === 'string' ? [codes] : codes
  if (KwaaiError.is(reason) && wanted.includes(reason.code)) return reason
  const got = KwaaiError.is(reason) ? reason.code : show(reason)
  throw new Error(`${what}: expected ${wanted.join(' or ')}, got ${got}`)
}
