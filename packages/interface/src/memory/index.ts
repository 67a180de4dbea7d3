/**
 * Implementations of the contracts that need nothing but memory, so that every room runs alone.
 *
 * @packageDocumentation
 */
export { systemClock } from './clock.ts'
export { systemRandom } from './random.ts'
