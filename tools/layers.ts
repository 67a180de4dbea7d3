/** Who may import whom: the one rule of the house. `tools/layers.spec.ts` holds every import to it. */
export const layers: Record<string, readonly string[]> = {
  '@kwaai/interface': [],
  '@kwaai/testing': ['@kwaai/interface'],
  '@kwaai/identity': ['@kwaai/interface'],
  '@kwaai/network': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/dht': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/shard': ['@kwaai/interface', '@kwaai/identity'],
  '@kwaai/api': ['@kwaai/interface', '@kwaai/identity'],
  // The composition root hands the rooms to each other, so it alone sees them all.
  '@kwaai/node': [
    '@kwaai/interface',
    '@kwaai/identity',
    '@kwaai/network',
    '@kwaai/dht',
    '@kwaai/shard',
    '@kwaai/api'
  ]
}
