import type { Network } from '@kwaai/interface'
import { createMemoryHub, createMemoryNetwork, type MemoryHub } from '@kwaai/interface/memory'

/** So many started networks on one hub, named `peer-0`, `peer-1` and so on. */
export async function startMemoryNetworks(
  count: number,
  hub: MemoryHub = createMemoryHub()
): Promise<Network[]> {
  const networks = Array.from({ length: count }, (_, index) =>
    createMemoryNetwork(hub, { peerId: `peer-${index}` })
  )
  for (const network of networks) await network.start()
  return networks
}
