/**
 * Implementations of the contracts that need nothing but memory, so that every room runs alone.
 *
 * @packageDocumentation
 */
export { systemClock } from './clock.ts'
export { systemRandom } from './random.ts'
export { createMemoryStore } from './store.ts'
export { createMemoryNetwork } from './network.ts'
export {
  createMemoryHub,
  type MemoryFaults,
  type MemoryHub,
  type MemoryHubInit,
  type MemoryMember,
  type MemoryPort
} from './hub.ts'
export type { StreamTransfer } from '../streams/stream-pair.ts'
