import type { Channel, Network } from '@kwaai/interface'
import {
  assertRejectsWith,
  createFakeClock,
  createFaultyNetwork,
  createSeededRandom,
  macrotask,
  networkSuite,
  startMemoryNetworks,
  type FrameEvent,
  type FrameVerdict
} from '@kwaai/testing'
import { expect, test } from 'vitest'

type OnFrame = (frame: FrameEvent, signal: AbortSignal) => Promise<FrameVerdict>

// Where every frame passes, late or at once, it is a network like any other.
networkSuite((name, run) => test(`where frames pass at once, ${name}`, run), {
  create: async (count) =>
    (await startMemoryNetworks(count)).map((network) =>
      createFaultyNetwork(network, { onFrame: async () => 'pass' })
    ),
  unknownPeer: 'nobody'
})
networkSuite((name, run) => test(`where frames pass in their own time, ${name}`, run), {
  create: async (count) => {
    const random = createSeededRandom(1)
    return (await startMemoryNetworks(count)).map((network) =>
      createFaultyNetwork(network, {
        onFrame: async () => {
          for (let turns = Math.floor(3 * random.next()); turns > 0; turns--) await Promise.resolve()
          return 'pass'
        }
      })
    )
  },
  unknownPeer: 'nobody'
})

/** A channel between a faulty network and a plain one, the plain one's end, and what ends the handler. */
async function pair(onFrame: OnFrame, faultyEnd: 'opener' | 'acceptor' = 'opener') {
  const [a, b] = (await startMemoryNetworks(2)) as [Network, Network]
  const opener = faultyEnd === 'opener' ? createFaultyNetwork(a, { onFrame }) : a
  const acceptor = faultyEnd === 'acceptor' ? createFaultyNetwork(b, { onFrame }) : b
  let take: (channel: Channel) => void = () => undefined
  let finish = (): void => undefined
  const accepted = new Promise<Channel>((resolve) => (take = resolve))
  const finished = new Promise<void>((resolve) => (finish = resolve))
  await acceptor.handle('/frames/1', {
    onChannel: (channel) => {
      take(channel)
      return finished
    }
  })
  const near = await opener.open(b.peerId, '/frames/1')
  return { near, far: await accepted, finish }
}

const frames = [1, 2, 3, 4].map((number) => Uint8Array.of(number))

async function rest(channel: Channel): Promise<(number | undefined)[]> {
  const numbers: (number | undefined)[] = []
  for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
    numbers.push(frame[0])
  }
  return numbers
}

/** What is decided by a frame's first byte. */
function byNumber(verdicts: Readonly<Record<number, FrameVerdict>>): OnFrame {
  return async ({ bytes }) => verdicts[bytes[0] as number] ?? 'pass'
}

test('frames are lost and repeated on their way out', async () => {
  const { near, far } = await pair(byNumber({ 2: 'drop', 3: 'duplicate' }))
  for (const frame of frames) await near.send(frame)
  await near.close()
  expect(await rest(far)).toEqual([1, 3, 3, 4])
})

test('frames are lost and repeated on their way in', async () => {
  const { near, far } = await pair(byNumber({ 1: 'duplicate', 4: 'drop' }))
  for (const frame of frames) await far.send(frame)
  await far.close()
  expect(await rest(near)).toEqual([1, 1, 2, 3])
})

test('the end that accepts is faulty too, and its last frames go before its channel is closed', async () => {
  const clock = createFakeClock()
  const { near, far, finish } = await pair(async ({ direction, bytes }) => {
    await clock.sleep(10)
    return direction === 'send' && bytes[0] === 1 ? 'drop' : 'pass'
  }, 'acceptor')
  for (const frame of frames) await far.send(frame)
  finish()
  const received = rest(near)
  await clock.advance(10)
  expect(await received).toEqual([2, 3, 4])
})

test('a reset fails both ends, and what is under way is lost', async () => {
  const { near, far } = await pair(byNumber({ 2: 'reset' }))
  const received = assertRejectsWith(rest(far), 'ERR_NETWORK_CHANNEL_CLOSED', 'far receive')
  const own = assertRejectsWith(near.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'near receive')
  for (const frame of frames.slice(0, 2)) await near.send(frame)
  await Promise.all([received, own])
  await assertRejectsWith(near.send(Uint8Array.of(3)), 'ERR_NETWORK_CHANNEL_CLOSED', 'near send')
})

test('a hook that throws resets the channel', async () => {
  const { near } = await pair(async () => {
    throw new Error('a mistake')
  })
  const own = assertRejectsWith(near.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'near receive')
  await near.send(Uint8Array.of(1))
  await own
})

test('frames are delayed side by side and keep their order', async () => {
  const clock = createFakeClock()
  const delays = new Map([
    [1, 50],
    [2, 10],
    [3, 60]
  ])
  const { near, far } = await pair(async ({ bytes }, signal) => {
    await clock.sleep(delays.get(bytes[0] as number) ?? 0, { signal })
    return 'pass'
  })
  const times: [number | undefined, number][] = []
  const read = async (): Promise<void> => {
    for (const _ of [1, 2, 3]) times.push([(await far.receive())?.[0], clock.monotonic()])
  }
  const reading = read()
  for (const frame of frames.slice(0, 3)) await near.send(frame)
  await clock.advance(60)
  await reading
  expect(times).toEqual([
    [1, 50],
    [2, 50],
    [3, 60]
  ])
})

test('the hook sees who sends what, and is told when the channel is over', async () => {
  const seen: Omit<FrameEvent, 'bytes'>[] = []
  let signal: AbortSignal | undefined
  const { near, far } = await pair(async ({ bytes, ...frame }, over) => {
    seen.push(frame)
    signal = over
    // The second frame hangs.
    if (bytes[0] === 2) await new Promise(() => undefined)
    return 'pass'
  })
  const receiving = near.receive()
  await far.send(Uint8Array.of(1))
  await receiving
  await near.send(Uint8Array.of(2))
  await macrotask()
  expect(signal?.aborted).toBe(false)
  near.abort()
  expect(signal?.aborted).toBe(true)
  await assertRejectsWith(far.receive(), 'ERR_NETWORK_CHANNEL_CLOSED', 'far receive')
  const common = { protocol: '/frames/1', peer: 'peer-1' }
  expect(seen).toEqual([
    { ...common, direction: 'receive' },
    { ...common, direction: 'send' }
  ])
})

test('a sender waits while too much is on its way', async () => {
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  const { near, far } = await pair(async () => {
    await gate
    return 'pass'
  })
  let sent = 0
  const send = async (): Promise<void> => {
    for (let count = 0; count < 20; count++) {
      await near.send(new Uint8Array(65_536))
      sent++
    }
    await near.close()
  }
  const sending = send()
  await macrotask()
  expect(sent).toBe(4)
  open()
  expect(await rest(far)).toHaveLength(20)
  await sending
})
