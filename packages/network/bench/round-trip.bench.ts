/**
 * How long a frame takes to another process and back, over an open channel on loopback. Run it with
 * `node --conditions=kwaai:source packages/network/bench/round-trip.bench.ts`.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Channel } from '@kwaai/interface'
import { systemRandom } from '@kwaai/interface/memory'
import { createNetwork } from '@kwaai/network'

const SIZES = [32, 2304, 36_864, 294_912]
const ROUNDS = 2000
const ECHO = '/kwaai/bench/echo/1.0.0'

async function serve(): Promise<void> {
  const network = createNetwork({ privateKey: systemRandom.bytes(32) })
  await network.handle(ECHO, {
    onChannel: async (channel: Channel) => {
      for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
        await channel.send(frame)
      }
    }
  })
  await network.start()
  const raw = createServer((socket) => {
    socket.setNoDelay(true)
    socket.pipe(socket)
  })
  raw.listen(0, '127.0.0.1')
  await once(raw, 'listening')
  process.on('disconnect', () => process.exit(0))
  process.send?.({ address: network.addresses()[0], peer: network.peerId, raw: raw.address() })
}

function report(name: string, size: number, times: number[]): void {
  times.sort((a, b) => a - b)
  const at = (part: number): string => (times[Math.floor(times.length * part)] ?? 0).toFixed(3)
  console.log(
    `${name.padEnd(8)} ${String(size).padStart(7)} B  median ${at(0.5)}  p10 ${at(0.1)}  p95 ${at(0.95)} ms`
  )
}

async function measure(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['serve'])
  const [{ address, peer, raw }] = (await once(child, 'message')) as [
    { address: string; peer: string; raw: { port: number } }
  ]
  const network = createNetwork({ privateKey: systemRandom.bytes(32), listen: [] })
  await network.start()
  await network.connect(address)
  const channel = await network.open(peer, ECHO)
  const socket = connect({ port: raw.port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  const overSocket = async (frame: Uint8Array): Promise<void> => {
    let left = frame.length
    const whole = new Promise<void>((resolve) => {
      const take = (bytes: Uint8Array): void => {
        left -= bytes.length
        if (left > 0) return
        socket.off('data', take)
        resolve()
      }
      socket.on('data', take)
    })
    socket.write(frame)
    await whole
  }
  for (const size of SIZES) {
    const frame = new Uint8Array(size)
    const rounds = size > 100_000 ? ROUNDS / 10 : ROUNDS
    const ours: number[] = []
    const bare: number[] = []
    for (let round = 0; round < rounds + 200; round++) {
      const started = performance.now()
      await channel.send(frame)
      await channel.receive()
      const between = performance.now()
      await overSocket(frame)
      if (round < 200) continue
      ours.push(between - started)
      bare.push(performance.now() - between)
    }
    report('channel', size, ours)
    report('socket', size, bare)
  }
  await network.stop()
  socket.destroy()
  child.disconnect()
}

await (process.argv[2] === 'serve' ? serve() : measure())
