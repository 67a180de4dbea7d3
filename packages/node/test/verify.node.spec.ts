import { createIdentity, seal } from '@kwaai/identity'
import { expect, test } from 'vitest'
import { runMain } from './run-main.ts'

test('a name in a provenance shows no row of its own', async () => {
  const identity = createIdentity({ seed: new Uint8Array(32).fill(7) })
  // In the order that canonical JSON has.
  const record = {
    created: 1_750_000_000,
    disclosed: [],
    durationMs: 1,
    id: 'chatcmpl-1',
    kind: 'chat',
    model: { id: 'toy\nSigned by  did:key:z6MkSomebodyElse\n' },
    outcome: 'completed',
    v: 1
  }
  const envelope = await seal(
    identity,
    'kwaai/api/provenance/1',
    new TextEncoder().encode(JSON.stringify(record))
  )
  const text = JSON.stringify({
    object: 'kwaai.provenance',
    id: record.id,
    signer: identity.did,
    envelope: Buffer.from(envelope).toString('base64url'),
    record
  })
  const { status, stdout } = await runMain(['verify', '-'], { input: text })
  expect(status).toBe(0)
  expect(stdout.match(/^Signed by .*$/gm)).toEqual([`Signed by      ${identity.did}`])
})
