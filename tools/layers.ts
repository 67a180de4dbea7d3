import type { Room } from './repository.ts'

/** Who may import whom: the one rule of the house. `tools/layers.spec.ts` holds every import to it. */
export const layers: Record<string, readonly string[]> = {
  '@kwaai/interface': [],
  '@kwaai/testing': ['@kwaai/interface'],
  '@kwaai/identity': ['@kwaai/interface'],
  '@kwaai/audit': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/network': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/dht': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/shard': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/api': ['@kwaai/interface', '@kwaai/identity'],
  // The composition root hands the rooms to each other, so it alone sees them all.
  '@kwaai/node': [
    '@kwaai/interface',
    '@kwaai/identity',
    '@kwaai/audit',
    '@kwaai/network',
    '@kwaai/dht',
    '@kwaai/shard',
    '@kwaai/api'
  ]
}

/** Rooms that put the others together; their tests may use whatever the house has. */
export const compositionRoots: readonly string[] = ['@kwaai/node']

/** Source folders that run in Node.js alone; everywhere else only `platform.ts` knows the platform. */
export const nodeOnly: readonly string[] = [
  'packages/node/src/',
  // TCP and TLS; the browser's transports get a door of their own.
  'packages/network/src/',
  'packages/shard/src/ggml/',
  'packages/api/src/node/'
]

/** The doors of a room that a browser may come through, and the source each leads to. */
export function browserDoors({ folder, manifest }: Room): { specifier: string; source: string }[] {
  return Object.entries(manifest.exports ?? {})
    .map(([door, target]) => ({
      specifier: manifest.name + door.slice(1),
      source: `packages/${folder}/${(target['kwaai:source'] ?? '').slice(2)}`
    }))
    .filter(({ source }) => !nodeOnly.some((only) => source.startsWith(only)))
}
