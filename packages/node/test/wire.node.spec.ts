import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { createWire, type Wire } from './wire/wire.ts'

// Real sockets: the wire is trusted by whatever is measured or broken over it.
const opened: (() => unknown)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
})

interface Far {
  wire: Wire
  /** Where the far end is reached over the wire. */
  port: number
  /** The next connection at the far end. */
  accepted(): Promise<Socket>
}

async function start(): Promise<Far> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    sockets.push(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const wire = createWire()
  opened.push(
    () => server.close(),
    () => sockets.forEach((socket) => socket.destroy()),
    () => wire.close()
  )
  const port = await wire.add({
    name: 'far',
    port: (server.address() as AddressInfo).port,
    host: '127.77.0.1'
  })
  return {
    wire,
    port,
    accepted: async () => {
      if (sockets.length === 0) await once(server, 'connection')
      return sockets.shift() as Socket
    }
  }
}

function dial(port: number, localAddress?: string): Socket {
  const socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    allowHalfOpen: true,
    ...(localAddress === undefined ? {} : { localAddress })
  })
  socket.on('error', () => undefined)
  opened.push(() => socket.destroy())
  return socket
}

/** Resolves when a socket is gone, in whatever way. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve())
    // A reset shows to those who read.
    socket.resume()
  })
}

async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let read = 0
  while (read < length) {
    const chunk = (socket.read() ?? (await once(socket, 'readable'), socket.read())) as Buffer | null
    if (chunk === null) continue
    chunks.push(chunk)
    read += chunk.length
  }
  return Buffer.concat(chunks)
}

test('a round trip takes what the rules add up to, no less, and bytes keep their order', async () => {
  const { wire, port, accepted } = await start()
  const near = dial(port)
  const far = await accepted()
  wire.shape([
    { between: [], delayMs: 10 },
    { between: ['far'], delayMs: 15 },
    { between: ['far', 'somebody else'], delayMs: 10_000 }
  ])
  const started = performance.now()
  for (let index = 0; index < 50; index++) near.write(Buffer.of(index))
  const there = await read(far, 50)
  expect([...there]).toEqual(Array.from({ length: 50 }, (_, index) => index))
  far.write(there)
  expect(await read(near, 50)).toEqual(there)
  const ms = performance.now() - started
  expect(ms).toBeGreaterThanOrEqual(50)
  // A machine that is busy is late, but not by the rule that is about others.
  expect(ms).toBeLessThan(5_000)
  // A shorter way does not let later bytes overtake.
  near.write('a')
  wire.shape([])
  near.write('b')
  expect(String(await read(far, 2))).toBe('ab')
})

test('what is held waits and arrives afterwards, the end too', async () => {
  const { wire, port, accepted } = await start()
  const near = dial(port)
  const far = await accepted()
  wire.shape([{ between: ['far'], held: true }])
  near.end('held')
  // Another one, dialled meanwhile, gets through as far as the wire.
  const late = dial(port)
  const other = await accepted()
  late.write('late')
  await new Promise((resolve) => setImmediate(resolve))
  expect(far.read()).toBeNull()
  wire.shape([])
  expect(String(await read(far, 4))).toBe('held')
  const ended = once(far, 'end')
  far.read()
  await ended
  // The other half goes on.
  far.end('still here')
  expect(String(await read(near, 10))).toBe('still here')
  expect(String(await read(other, 4))).toBe('late')
})

test.runIf(process.platform === 'linux')('a dialler is known by its address', async () => {
  const { wire, port, accepted } = await start()
  await wire.add({ name: 'near', port: 1, host: '127.77.0.2' })
  const known = dial(port, '127.77.0.2')
  const first = await accepted()
  const unknown = dial(port)
  const second = await accepted()
  wire.shape([{ between: ['near', 'far'], held: true }])
  known.write('held')
  unknown.write('passes')
  expect(String(await read(second, 6))).toBe('passes')
  expect(first.read()).toBeNull()
  expect(wire.cut('near')).toBe(1)
  await closed(first)
  expect(second.destroyed).toBe(false)
})

test('who writes more than is read has to wait', async () => {
  const { port, accepted } = await start()
  const near = dial(port)
  const far = await accepted()
  const block = Buffer.alloc(1 << 20, 7)
  let written = 0
  // Far more than all buffers on the way hold.
  for (; written < 64 && near.write(block); written++);
  const drained = once(near, 'drain')
  expect(near.writableNeedDrain).toBe(true)
  let received = 0
  far.on('data', (chunk: Buffer) => (received += chunk.length))
  await drained
  near.end()
  await once(far, 'end')
  expect(received).toBe((written + 1) * block.length)
})

test('a reset on one side is one on the other', async () => {
  const { port, accepted } = await start()
  const near = dial(port)
  const far = await accepted()
  near.resetAndDestroy()
  await closed(far)
})
