/** A server process of the chaos. */
import { createNode, type NodeStatus } from '../../src/index.ts'
import { answerCalls } from '../ipc.ts'
import { prepareChild, type Common } from './child.ts'

const { init, components, calls: common } = prepareChild()
const starting = createNode(init.node, components)
starting.catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})

/** What the parent may ask of a server process. */
export type ServerCalls = Common & {
  status: () => Promise<NodeStatus>
}

const calls: ServerCalls = { ...common, status: async () => (await starting).status() }
answerCalls(calls)

let ending = false
process.on('SIGTERM', () => {
  if (ending) process.exit(143)
  ending = true
  void starting
    .then(async (node) => {
      await node.drain()
      await node.stop()
    })
    .then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      }
    )
})
