import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** How the way between two nodes is, until the next rules. */
export interface WireRule {
  /** Two nodes, one and everybody, or nobody for all ways. */
  between: readonly string[]
  /** Milliseconds that bytes take longer, each way. */
  delayMs?: number
  /** Nothing travels; what was sent waits, as packets that are sent again would. */
  held?: boolean
}

/** A node behind the wire. */
export interface WireNode {
  name: string
  /** The port it listens on, on 127.0.0.1. */
  port: number
  /** The loopback address its own dials come from; others dial from wherever and have no name. */
  host?: string
}

/** TCP between processes of one machine, as it is between machines. */
export interface Wire {
  /** Opens a port of the wire for a node: whoever dials it reaches the node. @returns the port. */
  add(node: WireNode): Promise<number>
  /** Replaces all rules. */
  shape(rules: readonly WireRule[]): void
  /** Resets every connection from and to a node. @returns how many. */
  cut(name: string): number
  close(): Promise<void>
}

/** Bytes on their way in one direction before the sender has to wait: what a wide long way holds. */
const maxBytes = 4_194_304

interface Way {
  delayMs: number
  held: boolean
}

/** What arrives at `dueAt`: bytes, the end of them, or the news that the other side is gone. */
interface Parcel {
  dueAt: number
  content: Buffer | 'end' | 'reset'
}

/** Carries one direction of a connection: late, in order, and no faster than the receiver reads. */
function carry(source: Socket, sink: Socket, way: () => Way): { pump(): void } {
  const parcels: Parcel[] = []
  let bytes = 0
  let lastDueAt = 0
  let full = false
  let timer: NodeJS.Timeout | undefined
  let turn: NodeJS.Immediate | undefined
  const stopTimer = (): void => {
    clearTimeout(timer)
    clearImmediate(turn)
  }
  const pump = (): void => {
    stopTimer()
    while (!full && !way().held) {
      const [parcel] = parcels
      if (parcel === undefined) return
      const left = parcel.dueAt - performance.now()
      if (left > 0) {
        // Timers come a millisecond late; the last one is waited for turn by turn.
        if (left > 1.5) timer = setTimeout(pump, Math.floor(left - 1))
        else turn = setImmediate(pump)
        return
      }
      parcels.shift()
      const { content } = parcel
      if (content === 'reset') sink.resetAndDestroy()
      else if (content === 'end') sink.end()
      else {
        bytes -= content.length
        full = !sink.write(content)
        if (source.isPaused() && bytes < maxBytes / 2) source.resume()
      }
    }
  }
  const send = (content: Parcel['content']): void => {
    lastDueAt = Math.max(lastDueAt, performance.now() + way().delayMs)
    parcels.push({ dueAt: lastDueAt, content })
    pump()
  }
  let ended = false
  source.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes >= maxBytes) source.pause()
    send(chunk)
  })
  source.once('end', () => {
    ended = true
    send('end')
  })
  source.once('close', () => {
    if (!ended) send('reset')
  })
  // `close` follows and tells.
  source.on('error', () => undefined)
  sink.on('drain', () => {
    full = false
    pump()
  })
  sink.once('close', () => {
    stopTimer()
    parcels.length = 0
    full = true
  })
  return { pump }
}

/** A {@link Wire} in this process. Keep it in one of its own: it is busy with every byte. */
export function createWire(): Wire {
  const servers: Server[] = []
  const names = new Map<string, string>()
  const connections = new Set<{ ends: readonly string[]; sockets: readonly Socket[]; pump(): void }>()
  let rules: readonly WireRule[] = []

  const wayBetween = (ends: readonly string[]): Way => {
    const way = { delayMs: 0, held: false }
    for (const { between, delayMs = 0, held = false } of rules) {
      if (!between.every((name) => ends.includes(name))) continue
      way.delayMs += delayMs
      way.held ||= held
    }
    return way
  }

  const join = (near: Socket, node: WireNode): void => {
    const far = connect({ host: '127.0.0.1', port: node.port, allowHalfOpen: true, noDelay: true })
    const dialler = names.get(near.remoteAddress ?? '')
    const ends = dialler === undefined ? [node.name] : [dialler, node.name]
    const way = (): Way => wayBetween(ends)
    const directions = [carry(near, far, way), carry(far, near, way)]
    const connection = {
      ends,
      sockets: [near, far],
      pump: () => directions.forEach((direction) => direction.pump())
    }
    connections.add(connection)
    for (const socket of connection.sockets) {
      socket.once('close', () => {
        if (near.destroyed && far.destroyed) connections.delete(connection)
      })
    }
  }

  return {
    add: (node) =>
      new Promise((resolve, reject) => {
        if (node.host !== undefined) names.set(node.host, node.name)
        const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => join(near, node))
        servers.push(server)
        server.once('error', reject)
        server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
      }),
    shape(next) {
      rules = next
      for (const { pump } of connections) pump()
    },
    cut(name) {
      const found = [...connections].filter(({ ends }) => ends.includes(name))
      for (const { sockets } of found) for (const socket of sockets) socket.resetAndDestroy()
      return found.length
    },
    async close() {
      for (const { sockets } of connections) for (const socket of sockets) socket.destroy()
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    }
  }
}
