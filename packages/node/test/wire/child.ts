/** The wire's own process. */
import { answerCalls } from '../ipc.ts'
import { createWire, type WireNode, type WireRule } from './wire.ts'

const wire = createWire()

const calls = {
  add: (node: WireNode) => wire.add(node),
  shape: (rules: readonly WireRule[]) => wire.shape(rules),
  cut: (name: string) => wire.cut(name)
}

/** What the process answers. */
export type WireCalls = typeof calls

answerCalls(calls)
