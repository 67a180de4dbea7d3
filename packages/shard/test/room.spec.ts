import { createFakeClock } from '@kwaai/testing'
import { expect, test } from 'vitest'
import { createRoomMemory } from '../src/route/room.ts'

test('of two refusals that cross, the one that says more is believed, for as long as both say', async () => {
  for (const sizes of [
    [60, 1_000],
    [1_000, 60]
  ]) {
    const clock = createFakeClock()
    const room = createRoomMemory(clock)
    for (const [i, tokens] of sizes.entries()) room.full('a', tokens, `no ${tokens}`, 3_000 - 1_000 * i)
    await clock.advance(2_500)
    expect(room.reason('a', 59)).toBeUndefined()
    expect(room.reason('b', 60)).toBeUndefined()
    for (const tokens of [60, 1_000]) expect(room.reason('a', tokens)).toBe('It is full for 1 s more: no 60')
    expect(room.nextMs()).toBe(500)
    await clock.advance(500)
    expect([room.reason('a', 1_000), room.nextMs()]).toEqual([undefined, undefined])
    // What is over says nothing about what comes.
    room.full('a', 1_000, 'no 1,000', 1_000)
    expect(room.reason('a', 60)).toBeUndefined()
  }
})
