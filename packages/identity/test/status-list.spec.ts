import { base64url } from 'multiformats/bases/base64'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createStatusList, decodeBitstring, encodeBitstring, readStatusList } from '../src/status/index.ts'

/** The list of the specification's example (Bitstring Status List 1.0, section 2.2): 131,072 entries, none set. */
const exampleList = 'uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA'

/** Made by Python 3 (gzip, base64): the entries 0, 10, 94,567 and 131,071 are set, the left-most bit first. */
const pythonList = 'uH4sIAAAAAAACA-3QAREAAAQEMN9EVNHl4LYImy4AAAAAAAAAAAAAAJ6JAgAAAIBrsknzUd0AQAAA'

const invalid = { code: 'ERR_IDENTITY_STATUS_LIST_INVALID' }

describe('a status list', () => {
  test("of the specification's example has 131,072 entries, and none is set", async () => {
    const bits = await decodeBitstring(exampleList)
    expect(bits).toEqual(new Uint8Array(16_384))
    const list = await readStatusList(exampleList)
    expect(list.length).toBe(131_072)
    expect(await readStatusList(await createStatusList().encode())).toMatchObject({ length: 131_072 })
  })

  test('made by another program has the entries set that it has set', async () => {
    const list = await readStatusList(pythonList)
    const set: number[] = []
    for (let index = 0; index < list.length; index++) if (list.get(index) === 1) set.push(index)
    expect(set).toEqual([0, 10, 94_567, 131_071])
  })

  test('begins at the left-most bit', async () => {
    const list = createStatusList()
    list.set(0, 1)
    list.set(10, 1)
    const bits = await decodeBitstring(await list.encode())
    expect([...bits.subarray(0, 3)]).toEqual([0b1000_0000, 0b0010_0000, 0])
  })

  test('comes back as it was, with entries of every size', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.tuple(fc.nat(131_071), fc.nat(255)), { maxLength: 40 }),
        async (statusSize, writes) => {
          const list = createStatusList({ statusSize })
          const expected = new Map<number, number>()
          for (const [index, value] of writes) {
            list.set(index, value % 2 ** statusSize)
            expected.set(index, value % 2 ** statusSize)
          }
          const read = await readStatusList(await list.encode(), { statusSize })
          for (const [index, value] of expected) {
            expect(read.get(index)).toBe(value)
            for (const beside of [index - 1, index + 1]) {
              if (beside >= 0 && beside < read.length)
                expect(read.get(beside)).toBe(expected.get(beside) ?? 0)
            }
          }
        }
      ),
      { numRuns: 20 }
    )
  })

  test.each([
    ['too short', { length: 131_064 }],
    ['no multiple of 8', { length: 131_073 }],
    ['larger than readers inflate', { length: 2 ** 24 }],
    ['of entries without bits', { statusSize: 0 }],
    ['of entries of more than a byte', { statusSize: 9 }]
  ])('%s is refused', (_, init) => {
    expect(() => createStatusList(init)).toThrow(expect.objectContaining(invalid))
  })

  test('has no other entries than its own', () => {
    const list = createStatusList()
    for (const index of [-1, 131_072, 0.5, Number.NaN]) {
      expect(() => list.get(index)).toThrow(expect.objectContaining(invalid))
      expect(() => list.set(index, 1)).toThrow(expect.objectContaining(invalid))
    }
    expect(() => list.set(0, 2)).toThrow(expect.objectContaining(invalid))
  })
})

describe('what is read', () => {
  test('is refused where it is short, bare base64url, no base64url, no GZIP or cut off', async () => {
    const whole = await encodeBitstring(new Uint8Array(16_384))
    const cut = base64url.encode(base64url.decode(whole).slice(0, -12))
    const short = await encodeBitstring(new Uint8Array(16_383))
    for (const text of [short, whole.slice(1), 'u!', 'u', 'uAAAA', cut, `${whole}AAAA`]) {
      await expect(readStatusList(text), text).rejects.toMatchObject(invalid)
    }
  })

  test('is inflated no further than the cap: 16 MiB in 16 kB cost no more', async () => {
    // A bomb is written piece by piece; nobody ever holds what it says.
    const zeros = new Uint8Array(2 ** 20)
    let left = 16
    const source = new ReadableStream<BufferSource>({
      pull: (controller) => (left-- > 0 ? controller.enqueue(zeros) : controller.close())
    })
    const packed = await new Response(source.pipeThrough(new CompressionStream('gzip'))).arrayBuffer()
    expect(packed.byteLength).toBeLessThan(20_000)
    const bomb = base64url.encode(new Uint8Array(packed))
    const capped = { ...invalid, message: expect.stringContaining('1048576 bytes allowed') as string }
    await expect(readStatusList(bomb)).rejects.toMatchObject(capped)
    // Who went on to the end would find that it is cut off there.
    const cut = base64url.encode(new Uint8Array(packed).subarray(0, packed.byteLength / 2))
    await expect(readStatusList(cut)).rejects.toMatchObject(capped)
  })
})
