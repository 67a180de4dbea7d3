import { createIdentity } from '@kwaai/identity'
import { createMemoryStore } from '@kwaai/interface/memory'
import { assertRejectsWith, createFakeClock, createSeededRandom } from '@kwaai/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addCosignatures,
  consistencyProof,
  createWitness,
  findFork,
  formatCheckpoint,
  formatNote,
  formatNoteKey,
  formatTlogProof,
  formatWitnessRequest,
  noteKeyId,
  parseCheckpoint,
  parseNote,
  parseNoteKey,
  parseTlogProof,
  parseWitnessRequest,
  rootAt,
  signCheckpoint,
  verifyCheckpoint,
  verifyFork,
  verifySignatures,
  type LogPolicy,
  type NoteKey,
  type Witness
} from '../src/index.ts'
import { entriesOf, readerOf } from './merkle-kit.ts'
import published from './vectors/notes.json' with { type: 'json' }

const random = createSeededRandom(11)
const logSigner = createIdentity({}, { random })
const origin = 'example.org/log'
const key: NoteKey = { name: origin, type: 1, publicKey: logSigner.publicKey }
const policy: LogPolicy = { origin, key }

const signed = async (entries: readonly Uint8Array[], size = entries.length): Promise<string> =>
  signCheckpoint({ origin, size, root: await rootAt(size, readerOf(entries)) }, logSigner)

describe('notes', () => {
  test('published ones verify: a log, a note and their keys', async () => {
    for (const { note, key: vkey } of published.notes) {
      const known = parseNoteKey(vkey)
      expect(formatNoteKey(known)).toBe(vkey)
      const read = parseNote(note)
      expect(formatNote(read)).toBe(note)
      expect(await verifySignatures(read, [known])).toMatchObject([{ key: known }])
      const changed = { ...read, text: read.text.replace(/[a-z]/, 'X') }
      await assertRejectsWith(verifySignatures(changed, [known]), 'ERR_AUDIT_BAD_SIGNATURE', 'a changed text')
    }
  })

  test('the published checkpoint with a cosignature is read as it is', () => {
    const note = parseNote(published.cosigned)
    expect(formatNote(note)).toBe(published.cosigned)
    expect(note.signatures.map(({ name, signature }) => [name, signature.length])).toEqual([
      ['example.com/behind-the-sofa', 64],
      ['witness.example.com/w1', 72]
    ])
    expect(parseCheckpoint(note.text)).toMatchObject({
      origin: 'example.com/behind-the-sofa',
      size: 20_852_163
    })
    expect(formatCheckpoint(parseCheckpoint(note.text))).toBe(note.text)
  })

  test('all that is not exactly a note is refused', async () => {
    const note = await signed(entriesOf(3))
    const line = note.slice(note.lastIndexOf('\u2014'))
    const wrong = [
      '',
      '\n',
      '\n\n',
      note.slice(0, -1),
      `${note}\n`,
      `${note}x`,
      note.replace('\n\n', '\n'),
      note.replace('\u2014 ', '- '),
      note.replace('\u2014 ', '\u2014  '),
      note.replace('example', 'exam\rple'),
      note.replace('example', 'exam\u0000ple'),
      note.replace('example', '\ud800'),
      note.replace(/=\n$/, '\n'),
      note.replace(/ [^ ]*\n$/, ' AAAA\n'),
      note.replace(`${origin} `, 'two words '),
      note + line.repeat(64),
      `${'x'.repeat(65_536)}\n${note}`
    ]
    for (const text of wrong)
      expect(() => parseNote(text), JSON.stringify(text).slice(0, 80)).toThrow(/Cannot read/)
    expect(() => parseNote(Uint8Array.of(0xff, 0x0a, 0x0a))).toThrow(/UTF-8/)
    expect(parseNote(note + line.repeat(15)).signatures).toHaveLength(16)
  })

  test('any changed character of a checkpoint is seen', async () => {
    const note = await signed(entriesOf(5))
    await fc.assert(
      fc.asyncProperty(fc.nat(note.length - 1), fc.integer({ min: 33, max: 126 }), async (at, code) => {
        const changed = note.slice(0, at) + String.fromCharCode(code) + note.slice(at + 1)
        if (changed === note) return
        expect((await verifyCheckpoint(changed, policy)).ok).toBe(false)
      }),
      { numRuns: 200, seed: 3 }
    )
  })

  test('texts that are no checkpoint are refused', () => {
    const root = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='
    const wrong = [
      '',
      'a\n',
      'a\n1\n',
      `a\n01\n${root}\n`,
      `a\n-1\n${root}\n`,
      `a\n1e3\n${root}\n`,
      `a\n9007199254740993\n${root}\n`,
      `a\n1\n${root}`,
      `\n1\n${root}\n`,
      `a\n1\n${root.slice(0, -1)}\n`,
      `a\n1\nAAAA\n`,
      `a\n1\n${root}\n\n`
    ]
    for (const text of wrong) expect(() => parseCheckpoint(text), JSON.stringify(text)).toThrow(/checkpoint/)
    expect(parseCheckpoint(`a\n0\n${root}\nmore\n`).extensions).toEqual(['more'])
  })

  test('a key that is not one is refused', () => {
    const vkey = formatNoteKey(key)
    for (const text of ['', 'a', vkey.slice(1), vkey.slice(0, -4), vkey.replace('+', ' '), `${vkey}A`])
      expect(() => parseNoteKey(text)).toThrow(/Cannot read the key/)
    expect(noteKeyId(key)).not.toBe(noteKeyId({ ...key, type: 4 }))
  })
})

/** Witnesses with a store and a clock of their own. */
function witnesses(count: number): Witness[] {
  return Array.from({ length: count }, (_, at) =>
    createWitness(
      { name: `witness.example.org/w${at}`, logs: [key] },
      { store: createMemoryStore(), signer: createIdentity({}, { random }), clock: createFakeClock() }
    )
  )
}

describe('witnesses', () => {
  test('cosign what goes on, and k of n are asked for', async () => {
    const [a, b, c] = witnesses(3) as [Witness, Witness, Witness]
    let checkpoint = await signed(entriesOf(4))
    for (const one of [a, b]) {
      const answer = await one.addCheckpoint({ oldSize: 0, proof: [], checkpoint })
      expect(answer.ok).toBe(true)
      if (answer.ok) checkpoint = addCosignatures(checkpoint, [answer.cosignature])
    }
    const keys = [a.key, b.key, c.key]
    const verified = await verifyCheckpoint(checkpoint, { ...policy, witnesses: keys, quorum: 2 })
    expect(verified.ok && verified.witnesses.map(({ key: { name } }) => name)).toEqual([
      a.key.name,
      b.key.name
    ])
    expect(verified.ok && verified.witnesses[0]?.timestamp).toBeGreaterThan(0)
    for (const quorum of [undefined, 3, Number.NaN])
      expect(
        await verifyCheckpoint(checkpoint, {
          ...policy,
          witnesses: keys,
          ...(quorum !== undefined && { quorum })
        })
      ).toMatchObject({ code: 'ERR_AUDIT_NO_QUORUM' })
    // Nor does the log witness itself.
    expect(
      await verifyCheckpoint(checkpoint, { ...policy, witnesses: [a.key, policy.key as NoteKey] })
    ).toMatchObject({ code: 'ERR_AUDIT_NO_QUORUM' })
    // The same line twice is one witness.
    const line = checkpoint.slice(checkpoint.lastIndexOf('\u2014'))
    expect(
      await verifyCheckpoint(checkpoint + line, { ...policy, witnesses: keys, quorum: 3 })
    ).toMatchObject({ code: 'ERR_AUDIT_NO_QUORUM' })
    expect(() => addCosignatures(checkpoint, ['forged'])).toThrow(/Cannot/)
  })

  test('refuse what goes back, what forks and what they do not know', async () => {
    const [witness] = witnesses(1) as [Witness]
    const entries = entriesOf(9)
    const forked = [...entriesOf(2, 5), ...entries.slice(2)]
    const read = readerOf(entries)
    const ask = async (
      oldSize: number,
      checkpoint: string,
      proof: readonly Uint8Array[] = []
    ): Promise<string> => {
      const answer = await witness.addCheckpoint({ oldSize, proof, checkpoint })
      return answer.ok ? 'signed' : answer.code
    }
    expect(await ask(0, await signed(entries, 4))).toBe('signed')
    expect(await ask(4, await signed(entries, 4))).toBe('signed')
    expect(await ask(0, await signed(entries, 7))).toBe('ERR_AUDIT_STALE')
    expect(await ask(4, await signed(entries, 7))).toBe('ERR_AUDIT_INCONSISTENT')
    expect(await ask(4, await signed(entries, 7), await consistencyProof(4, 7, read))).toBe('signed')
    expect(await ask(7, await signed(entries, 4))).toBe('ERR_AUDIT_MALFORMED')
    expect(await ask(7, await signed(forked, 7))).toBe('ERR_AUDIT_INCONSISTENT')
    expect(await ask(7, await signed(forked, 9), await consistencyProof(7, 9, readerOf(forked)))).toBe(
      'ERR_AUDIT_INCONSISTENT'
    )
    const stranger = createIdentity({}, { random })
    const root = await rootAt(9, read)
    expect(await ask(7, await signCheckpoint({ origin, size: 9, root }, stranger))).toBe(
      'ERR_AUDIT_BAD_SIGNATURE'
    )
    const foreign = await signCheckpoint({ origin: 'example.com/other', size: 9, root }, stranger)
    expect(await ask(7, foreign)).toBe('ERR_AUDIT_WRONG_LOG')
    expect(await ask(7, 'no note')).toBe('ERR_AUDIT_MALFORMED')
    expect(await ask(7, await signed(entries, 9), await consistencyProof(7, 9, read))).toBe('signed')
  })

  test('of two histories at once sign one', async () => {
    const [witness] = witnesses(1) as [Witness]
    const both = [await signed(entriesOf(4)), await signed(entriesOf(4, 9))]
    const answers = await Promise.all(
      both.map((checkpoint) => witness.addCheckpoint({ oldSize: 0, proof: [], checkpoint }))
    )
    expect(answers.map(({ ok }) => ok)).toEqual([true, false])
  })

  test('answer over HTTP as tlog-witness says', async () => {
    const [witness] = witnesses(1) as [Witness]
    const entries = entriesOf(6)
    const post = (body: string, path = '/add-checkpoint', method = 'POST'): Promise<Response> =>
      witness.fetch(
        new Request(`https://witness.example.org${path}`, { method, ...(method === 'POST' && { body }) })
      )
    const request = { oldSize: 0, proof: [], checkpoint: await signed(entries, 4) }
    expect(parseWitnessRequest(formatWitnessRequest(request))).toEqual(request)
    const first = await post(formatWitnessRequest(request))
    const cosignature = await first.text()
    expect([first.status, cosignature]).toEqual([200, expect.stringMatching(/^\u2014 witness[^\n]*\n$/)])
    const whole = addCosignatures(request.checkpoint, [cosignature])
    expect(await verifyCheckpoint(whole, { ...policy, witnesses: [witness.key] })).toMatchObject({ ok: true })
    const stale = await post(formatWitnessRequest(request))
    expect([stale.status, stale.headers.get('content-type'), await stale.text()]).toEqual([
      409,
      'text/x.tlog.size',
      '4\n'
    ])
    const next = { oldSize: 4, proof: entriesOf(1), checkpoint: await signed(entries) }
    const statuses = [
      await post(''),
      await post('old x\n\n'),
      await post(formatWitnessRequest(next)),
      await post(formatWitnessRequest({ ...next, proof: [] })),
      await post(
        formatWitnessRequest({ ...request, checkpoint: request.checkpoint.replaceAll('example', 'other') })
      ),
      await post('x'.repeat(100_000)),
      await post('', '/other'),
      await post('', '/add-checkpoint', 'GET')
    ].map(({ status }) => status)
    expect(statuses).toEqual([400, 400, 400, 422, 404, 400, 404, 405])
  })
})

describe('a fork', () => {
  const honest = entriesOf(20)
  const forked = [...honest.slice(0, 6), ...entriesOf(14, 3)]

  test('is shown by two checkpoints of one size', async () => {
    const [a, b] = [await signed(honest, 9), await signed(forked, 9)]
    const evidence = await findFork(a, b, policy)
    expect(evidence).toBeDefined()
    if (evidence !== undefined) expect(await verifyFork(evidence, policy)).toMatchObject({ ok: true })
    expect(await findFork(a, a, policy)).toBeUndefined()
  })

  test('is shown by two of different sizes and the tiles of the larger', async () => {
    for (let small = 1; small <= 20; small++) {
      const [a, b] = [await signed(honest, small), await signed(forked, 20)]
      const evidence = await findFork(b, a, policy, { hashes: readerOf(forked) })
      expect(evidence !== undefined, `of size ${small}`).toBe(small > 6)
      if (evidence === undefined) continue
      expect(await verifyFork(evidence, policy)).toMatchObject({ ok: true, older: { size: small } })
    }
  })

  test('is never shown where there is none, whatever somebody claims', async () => {
    const [a, b] = [await signed(honest, 7), await signed(honest, 20)]
    expect(await findFork(a, b, policy, { hashes: readerOf(honest) })).toBeUndefined()
    expect(await findFork(a, b, policy, { hashes: readerOf(forked) })).toBeUndefined()
    expect(await findFork(a, b, policy)).toBeUndefined()
    const read = readerOf(forked)
    const prefix = { root: await rootAt(7, read), proof: await consistencyProof(7, 20, read) }
    const claims = [
      { older: a, newer: b },
      { older: a, newer: a },
      { older: b, newer: a },
      { older: a, newer: b, prefix }
    ]
    for (const claim of claims) expect((await verifyFork(claim, policy)).ok).toBe(false)
    const other: LogPolicy = { origin, key: { ...key, publicKey: createIdentity({}, { random }).publicKey } }
    const fork = { older: await signed(honest, 9), newer: await signed(forked, 9) }
    expect((await verifyFork(fork, policy)).ok).toBe(true)
    expect((await verifyFork(fork, other)).ok).toBe(false)
  })
})

test('a tlog-proof is read as it was written, and nothing else is', async () => {
  const proof = {
    index: 3,
    proof: entriesOf(1).map(() => new Uint8Array(32)),
    checkpoint: await signed(entriesOf(5))
  }
  const written = formatTlogProof(proof)
  expect(parseTlogProof(written)).toEqual(proof)
  const extra = { ...proof, extra: Uint8Array.of(1, 2) }
  expect(parseTlogProof(formatTlogProof(extra))).toEqual(extra)
  const wrong = [
    '',
    written.replace('v1', 'v2'),
    written.replace('index 3', 'index 03'),
    written.replace('index 3\n', ''),
    written.replace('index 3', 'extra !\nindex 3'),
    written.replace('index 3\n', 'index 3\nAAAA\n'),
    written.replace('\n\n', '\n'),
    'x'.repeat(300_000)
  ]
  for (const text of wrong)
    expect(() => parseTlogProof(text), text.slice(0, 60)).toThrow(/Cannot read|checkpoint/)
})
