/** What a node says of itself: `kwaai status --json` and `/health` give this object. */
export interface NodeStatus {
  status: 'ok'
  name: string
  version: string
  peerId: string
  did: string
  addresses: readonly string[]
  /** True once a chain can serve the model. */
  ready: boolean
  model: { id: string; sha256: string; blockCount: number }
  /** Half-open block ranges held here. */
  spans: readonly (readonly [from: number, to: number])[]
  /** Numerics class of the blocks held here. */
  backend?: string
  peers: readonly { peerId: string; rttMs?: number; relayed: boolean }[]
  memory: { residentBytes: number; weightBytes: number; kvBytes: number; limitBytes?: number }
  /** Sessions other peers hold here. */
  sessions: number
  /** Rows computed for sessions of others and of the own node. */
  tokensServed: number
  uptimeSeconds: number
}
